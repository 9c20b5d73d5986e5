"""Erlang-C beside published values, and what follows from it."""

import pytest

from loadsheet.planner.queueing import erlang_c, largest_share, wait_s


@pytest.mark.parametrize(
    ("servers", "offered", "expected"), [(10, 8, 0.409), (100, 90, 0.217), (1, 0.5, 0.5)]
)
def test_erlang_c(servers, offered, expected):
    assert erlang_c(servers, offered) == pytest.approx(expected, abs=5e-4)


def test_large_pools_join_the_exact_values():
    assert erlang_c(101, 91) == pytest.approx(erlang_c(100, 90), rel=0.05)


def test_an_mm1_wait_by_hand():
    # P(W > t) = rho * exp(-(1 - rho) t / s): at rho 0.5, s 1 and 95 %, t = 2 ln 10
    assert wait_s(0.95, 1, 0.5, 1.0, 1.0) == pytest.approx(4.605, abs=1e-3)


def test_larger_pools_may_run_fuller():
    shares = [
        largest_share(lambda used, n=n: wait_s(0.95, n, used, 1.0, 0.5) <= 2.0, 0.98)
        for n in (1, 2, 4, 16, 64, 256)
    ]
    assert shares == sorted(shares) and shares[-1] > 0.95
