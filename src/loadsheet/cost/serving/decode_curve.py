"""Seconds of decode iterations: piecewise affine in the sum of contexts.

At a fixed batch the time of an iteration is affine in the context but for tiles, splits and
windows of attention. So it is priced at a few lengths and batch sizes and taken as affine between
them. Within one segment the times of k iterations add up to a quadratic in k, which is what lets
a simulator jump from event to event.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from loadsheet.errors import ConfigError

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class DecodeSegment(NamedTuple):
    """`tau0_s + kappa_s_per_token * c` seconds per iteration for a sum `c` of cached tokens, up to
    and including `valid_until`."""

    tau0_s: float
    kappa_s_per_token: float
    valid_until: float


@dataclass(slots=True)
class DecodeCurve:
    """`price(batch, context)` is the exact seconds at a mean context that counts the new token;
    it is asked once per batch size of the grid and per context of `contexts` (two or more,
    ascending). Below the first context the first segment holds, beyond the last the last."""

    price: Callable[[int, int], float]
    contexts: tuple[int, ...]
    _priced: dict[int, tuple[float, ...]] = field(default_factory=dict)
    _segments: dict[int, tuple[DecodeSegment, ...]] = field(default_factory=dict)
    _ends: dict[int, list[float]] = field(default_factory=dict)

    def segment(self, batch: int, cached: float) -> DecodeSegment:
        """The one that holds at a sum of `cached` tokens over `batch` sequences."""
        if batch not in self._segments:
            self._segments[batch] = self._cut(batch)
            self._ends[batch] = [segment.valid_until for segment in self._segments[batch]]
        return self._segments[batch][bisect_left(self._ends[batch], cached)]

    def seconds(self, batch: int, cached: float) -> float:
        tau0_s, kappa_s, _ = self.segment(batch, cached)
        return tau0_s + kappa_s * cached

    def _cut(self, batch: int) -> tuple[DecodeSegment, ...]:
        if batch < 1:
            raise ConfigError(f"a decode batch of {batch} sequences; it must be 1 or more")
        low, high, weight = between(BATCHES, batch)
        pairs = zip(self._at(low), self._at(high), strict=True)
        values = [first + weight * (second - first) for first, second in pairs]
        sums = [batch * (context - 1.0) for context in self.contexts]
        segments = []
        for index in range(len(sums) - 1):
            width = sums[index + 1] - sums[index]
            kappa_s = (values[index + 1] - values[index]) / width
            tau0_s = values[index] - kappa_s * sums[index]
            is_last = index == len(sums) - 2
            end = math.inf if is_last else sums[index + 1]
            segments.append(
                DecodeSegment(tau0_s=tau0_s, kappa_s_per_token=kappa_s, valid_until=end)
            )
        return tuple(segments)

    def _at(self, batch: int) -> tuple[float, ...]:
        """At every context, never falling: a longer one may run faster by a better split, but not
        by the choice of anybody who plans."""
        if batch not in self._priced:
            values: list[float] = []
            for context in self.contexts:
                seconds = self.price(batch, context)
                values.append(max(seconds, values[-1]) if values else seconds)
            self._priced[batch] = tuple(values)
        return self._priced[batch]


def between(grid: tuple[int, ...], value: int) -> tuple[int, int, float]:
    """Neighbours on the grid and how far between them; below it the first, beyond it the last two
    extended."""
    place = bisect_left(grid, value)
    if place == 0:
        return grid[0], grid[0], 0.0
    if place == len(grid):
        low, high = grid[-2], grid[-1]
    else:
        low, high = grid[place - 1], grid[place]
    return low, high, (value - low) / (high - low)
