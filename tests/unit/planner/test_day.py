"""The day's schedule beside all other schedules, by hand and by enumeration."""

import itertools

import numpy as np
import pytest

from loadsheet.planner.day import optimal_replicas, reactive_replicas, schedule_usd


def test_cheap_starts_follow_the_need():
    counts, cost = optimal_replicas([1, 3, 1], usd_per_hour=2.0, start_usd=0.0)
    assert counts == (1, 3, 1) and cost == 10.0


def test_dear_starts_keep_replicas_over_a_dip():
    counts, cost = optimal_replicas([2, 1, 2], usd_per_hour=1.0, start_usd=5.0)
    assert counts == (2, 2, 2) and cost == 6.0


@pytest.mark.parametrize("seed", range(12))
def test_no_schedule_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    needs = [int(need) for need in rng.integers(1, 4, 6)]
    start_usd = float(rng.uniform(0, 3))
    counts, cost = optimal_replicas(needs, 1.0, start_usd)
    assert all(count >= need for count, need in zip(counts, needs, strict=True))
    assert cost == pytest.approx(schedule_usd(counts, 1.0, start_usd))
    every = itertools.product(*(range(need, 4) for need in needs))
    assert cost == pytest.approx(min(schedule_usd(one, 1.0, start_usd) for one in every))


def test_the_reactive_scaler_leaves_late():
    assert reactive_replicas([1, 4, 1, 1]) == (1, 4, 4, 1)
