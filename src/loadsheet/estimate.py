"""A number and how far to trust it: quantiles, means and rates with 95 % confidence intervals.

An interval is left open (None) where the sample is too small to close it: a p99 has no upper bound
below 368 values, and saying so is better than a bootstrap that never leaves the sample.

Quantiles interpolate linearly (numpy's default, Hyndman & Fan type 7), as vLLM's bench does. Their
interval is the distribution-free one from order statistics; means and rates use Student's t.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TAIL = 0.025  # half of what a 95 % interval leaves out
_Z = NormalDist().inv_cdf(1 - _TAIL)
_MIN_FOR_MEAN = 5
RATE_BATCHES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """`low` and `high` bound the 95 % interval; None where the sample cannot tell."""

    value: float
    low: float | None = None
    high: float | None = None


def quantile(values: Sequence[float], q: float) -> Estimate:
    """The q-quantile of independent values, `0 < q < 1`, with its order-statistics interval."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    low_rank, high_rank = _interval_ranks(len(ordered), q)
    return Estimate(
        value=float(np.quantile(ordered, q)),
        low=float(ordered[low_rank - 1]) if low_rank >= 1 else None,
        high=float(ordered[high_rank - 1]) if high_rank <= len(ordered) else None,
    )


def mean(values: Sequence[float]) -> Estimate:
    """Of values that are never negative, nor is the interval."""
    sample = np.asarray(values, dtype=np.float64)
    centre = float(sample.mean())
    if len(sample) < _MIN_FOR_MEAN:
        return Estimate(value=centre)
    half = student_t(len(sample) - 1) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
    low = centre - half if sample.min() < 0 else max(0.0, centre - half)
    return Estimate(value=centre, low=low, high=centre + half)


def rate(batches: Sequence[float]) -> Estimate:
    """Mean of the rates of equal, consecutive slices of a window (the method of batch means)."""
    return mean(batches)


def batch_rates(
    times_s: Sequence[float], weights: Sequence[float], *, start_s: float, end_s: float
) -> Floats:
    """Weight per second in each of RATE_BATCHES equal slices of [start_s, end_s)."""
    edges = np.linspace(start_s, end_s, RATE_BATCHES + 1)
    inside = [
        (time_s, weight)
        for time_s, weight in zip(times_s, weights, strict=True)
        if start_s <= time_s < end_s
    ]
    counts, _ = np.histogram(
        [time_s for time_s, _ in inside], bins=edges, weights=[weight for _, weight in inside]
    )
    return np.asarray(counts, dtype=np.float64) * RATE_BATCHES / (end_s - start_s)


def resampled_quantiles(
    groups: Sequence[Sequence[float]], q: float, rng: np.random.Generator, num_resamples: int = 400
) -> Floats:
    """Bootstrap draws of the pooled q-quantile, resampling whole groups.

    The gaps between tokens of one request depend on each other; drawing whole requests keeps that
    dependence, drawing gaps one by one would make the interval too narrow.
    """
    pooled = np.concatenate([np.asarray(group, dtype=np.float64) for group in groups])
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    order = np.argsort(pooled, kind="stable")
    pooled, owner = pooled[order], owner[order]
    draws = np.empty(num_resamples)
    for index in range(num_resamples):
        times_drawn = np.bincount(rng.integers(0, len(groups), len(groups)), minlength=len(groups))
        cumulative = np.cumsum(times_drawn[owner])
        position = np.searchsorted(cumulative, q * cumulative[-1])
        draws[index] = pooled[min(int(position), len(pooled) - 1)]
    return draws


def interval_of(draws: Floats, value: float) -> Estimate:
    """The percentile interval of bootstrap draws around the `value` of the whole sample."""
    low, high = np.quantile(draws, [_TAIL, 1 - _TAIL])
    return Estimate(value=value, low=float(low), high=float(high))


def ratio(value: float, base: float, draws: Floats, base_draws: Floats) -> Estimate | None:
    """value / base with the interval of their bootstrap draws; None where the base is nothing."""
    if base == 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = draws / base_draws
    finite = ratios[np.isfinite(ratios)]
    return interval_of(finite, value / base) if len(finite) else Estimate(value=value / base)


def student_t(degrees: int) -> float:
    """97.5 % point of Student's t by its expansion in 1/degrees (Abramowitz & Stegun 26.7.5).

    Within 0.5 % from 4 degrees of freedom on.
    """
    z, v = _Z, float(degrees)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / v + g2 / v**2 + g3 / v**3


def _interval_ranks(num: int, q: float) -> tuple[int, int]:
    """1-based ranks whose order statistics enclose the q-quantile with at least 95 %.

    The number of values below the quantile is binomial(num, q); rank 0 and rank num + 1 stand for
    "no bound". Only the part of the distribution within 8 deviations is summed.
    """
    spread = 8 * math.sqrt(num * q * (1 - q)) + 8
    first = max(0, math.floor(num * q - spread))
    last = min(num, math.ceil(num * q + spread))
    below = 0.0  # P(count <= k)
    low_rank, high_rank = 0, num + 1
    for k in range(first, last + 1):
        below += math.exp(_log_binomial(num, k, q))
        if below <= _TAIL:
            low_rank = k + 1
        if 1 - below <= _TAIL and high_rank > num:
            high_rank = k + 1
    return low_rank, high_rank


def _log_binomial(num: int, k: int, q: float) -> float:
    choose = math.lgamma(num + 1) - math.lgamma(k + 1) - math.lgamma(num - k + 1)
    return choose + k * math.log(q) + (num - k) * math.log1p(-q)
