import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadsheet.errors import ConfigError
from loadsheet.workload.lengths import Empirical, Fixed, LogNormal, Uniform


def sample(length, num=5000):
    rng = np.random.default_rng(7)
    return np.array([length.sample(rng) for _ in range(num)])


def test_fixed_is_fixed():
    assert set(sample(Fixed(value=9), 10)) == {9}


def test_uniform_includes_both_ends():
    found = sample(Uniform(min=3, max=5))
    assert set(found) == {3, 4, 5}
    assert found.mean() == pytest.approx(4, abs=0.05)


def test_lognormal_has_the_asked_mean_and_variation():
    found = sample(LogNormal(mean=200, cv=0.5), 20_000)
    assert found.mean() == pytest.approx(200, rel=0.02)
    assert found.std() / found.mean() == pytest.approx(0.5, rel=0.05)


def test_truncation_draws_again_instead_of_piling_up_on_the_bound():
    found = sample(LogNormal(mean=100, cv=1.0, min=50, max=150))
    assert found.min() >= 50 and found.max() <= 150
    assert (found == 150).mean() < 0.02  # clipping would put a fifth of them there


def test_empirical_follows_its_weights():
    found = sample(Empirical(values=(10, 40), weights=(3.0, 1.0)))
    assert (found == 40).mean() == pytest.approx(0.25, abs=0.02)
    assert set(sample(Empirical(values=(1, 2)), 50)) == {1, 2}


@given(low=st.integers(1, 500), span=st.integers(0, 500), seed=st.integers(0, 2**32))
def test_uniform_never_leaves_its_range(low, span, seed):
    value = Uniform(min=low, max=low + span).sample(np.random.default_rng(seed))
    assert low <= value <= low + span


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fixed(value=0),
        lambda: Uniform(min=5, max=4),
        lambda: LogNormal(mean=10, cv=0.0),
        lambda: LogNormal(mean=10, cv=1.0, max=5),
        lambda: Empirical(values=()),
        lambda: Empirical(values=(1, 2), weights=(1.0,)),
        lambda: Empirical(values=(1, 2), weights=(0.0, 0.0)),
    ],
)
def test_senseless_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_a_range_that_is_never_hit_is_an_error_and_no_endless_loop():
    with pytest.raises(ConfigError, match="almost never"):
        LogNormal(mean=1000, cv=0.001, min=1, max=1000).sample(_AlwaysHigh())


class _AlwaysHigh:
    def lognormal(self, mean, sigma):
        return 1e9
