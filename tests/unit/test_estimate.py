"""Intervals checked against published tables and against their own promise: coverage."""

import math

import numpy as np
import pytest

from loadsheet.estimate import (
    batch_rates,
    mean,
    quantile,
    rate,
    ratio,
    resampled_quantiles,
    student_t,
)


@pytest.mark.parametrize(
    ("degrees", "table_value"), [(4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_student_t_agrees_with_the_table(degrees, table_value):
    assert student_t(degrees) == pytest.approx(table_value, rel=0.005)


def test_quantile_interpolates_linearly():
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5).value == 2.5
    assert quantile([10.0], 0.99).value == 10.0


def test_median_interval_of_ten_values_is_the_textbook_one():
    """n = 10: the 2nd and 9th value enclose the median with 97.9 % (binomial, p = 1/2)."""
    found = quantile([float(value) for value in range(1, 11)], 0.5)
    assert (found.low, found.high) == (2.0, 9.0)


def test_the_upper_bound_of_p99_needs_368_values():
    """P(no value above p99) = 0.99^n must not exceed 2.5 %, so n = ln 0.025 / ln 0.99 = 367.04."""
    assert math.ceil(math.log(0.025) / math.log(0.99)) == 368
    assert quantile([float(value) for value in range(367)], 0.99).high is None
    assert quantile([float(value) for value in range(368)], 0.99).high == 367.0


def test_few_values_leave_both_sides_open():
    found = quantile([1.0, 2.0, 3.0], 0.5)
    assert (found.low, found.high) == (None, None)


def test_the_interval_covers_the_true_quantile_at_least_nine_times_in_ten():
    rng = np.random.default_rng(1)
    truth = -math.log(1 - 0.9)  # p90 of an exponential
    hits = 0
    for _ in range(300):
        found = quantile(list(rng.exponential(size=200)), 0.9)
        hits += found.low <= truth <= found.high
    assert hits >= 0.93 * 300


def test_mean_interval_by_hand():
    """Values 1 to 5: mean 3, deviation 1.581, t(4) = 2.776, half width 1.963."""
    found = mean([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.value == 3
    assert found.high - found.value == pytest.approx(1.963, rel=0.005)
    assert mean([1.0, 2.0]).low is None


def test_rates_and_times_are_never_below_zero():
    assert rate([0.0] * 9 + [100.0]).low == 0.0
    assert mean([-1.0, 0.0, 0.0, 0.0, 1.0]).low < 0


def test_batch_rates_share_the_window_and_drop_what_lies_outside():
    times_s = [9.9, 10.0, 10.5, 19.5, 20.0]
    found = batch_rates(times_s, [1, 1, 2, 4, 8], start_s=10, end_s=20)
    assert found[0] == 3  # one second per slice
    assert found[9] == 4
    assert found.sum() == 7


def test_resampling_whole_groups_is_wider_than_resampling_values():
    """Ten requests whose 50 gaps are all alike: only ten independent facts."""
    rng = np.random.default_rng(0)
    levels = list(rng.normal(10, 2, size=10))
    groups = [(level,) * 50 for level in levels]
    loose = [(value,) for group in groups for value in group]
    clustered = resampled_quantiles(groups, 0.5, np.random.default_rng(1))
    separate = resampled_quantiles(loose, 0.5, np.random.default_rng(1))
    assert clustered.std() > 2 * separate.std()


def test_resampled_quantiles_stay_inside_the_sample():
    draws = resampled_quantiles([(1.0, 5.0), (3.0,)], 0.9, np.random.default_rng(0))
    assert set(draws) <= {1.0, 3.0, 5.0}


def test_ratio_without_a_base_is_none():
    draws = np.array([1.0, 2.0])
    assert ratio(1.0, 0.0, draws, draws) is None
    found = ratio(4.0, 2.0, np.array([4.0, 4.0]), np.array([2.0, 0.0]))
    assert found.value == 2.0
    assert found.high == 2.0  # the draw without a base is left out
