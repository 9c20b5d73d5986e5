"""One latency metric over the requests of a window, with an interval at each quantile."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadsheet.estimate import (
    Estimate,
    Floats,
    interval_of,
    mean,
    quantile,
    resampled_quantiles,
)

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """`name` is a key of metrics.DEFINITIONS."""

    name: str
    num: int
    mean: Estimate
    std: float
    minimum: float
    maximum: float
    quantiles: dict[str, Estimate]


def distribution(
    name: str, groups: Sequence[Sequence[float]], rng: np.random.Generator
) -> Distribution:
    """Of values grouped by request; `rng` draws the intervals where a request has several."""
    values = np.concatenate([np.asarray(group, dtype=np.float64) for group in groups])
    is_clustered = len(values) > len(groups)
    return Distribution(
        name=name,
        num=len(values),
        mean=Estimate(value=float(values.mean())) if is_clustered else mean(list(values)),
        std=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        minimum=float(values.min()),
        maximum=float(values.max()),
        quantiles={
            label: _clustered(groups, values, q, rng) if is_clustered else quantile(list(values), q)
            for label, q in QUANTILES.items()
        },
    )


def _clustered(
    groups: Sequence[Sequence[float]], values: Floats, q: float, rng: np.random.Generator
) -> Estimate:
    """Gaps of one request depend on each other, so whole requests are resampled."""
    point = float(np.quantile(values, q))
    if len(groups) < 2:
        return Estimate(value=point)
    return interval_of(resampled_quantiles(groups, q, rng), point)
