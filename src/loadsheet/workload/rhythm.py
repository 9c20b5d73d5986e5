"""How the rate of arrivals changes: bursts that come and go, and the hours of a week.

A rhythm is a sequence of (seconds, factor) pieces with a mean factor of 1, so that a class keeps
the rate it states. Arrivals are a renewal process in operational time, which runs `factor` times
as fast as the clock: with Poisson gaps that is a Markov-modulated Poisson process for `Bursts`
(Fischer and Meier-Hellstern, 1993) and an inhomogeneous one for `Week`.

Classes that name the same `shared` stream are in the same state at the same time: one campaign
brings chats and images together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from loadsheet.errors import ConfigError

HOUR_S = 3600.0
HOURS = 168


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """States visited one after the other, each for an exponential time of mean `dwell_s`.

    `factors` are relative rates; they are scaled to a mean of 1 over time. Two states of which one
    is 0 are an on/off source.
    """

    factors: tuple[float, ...]
    dwell_s: tuple[float, ...]
    shared: str = ""

    def __post_init__(self) -> None:
        if len(self.factors) < 2 or len(self.factors) != len(self.dwell_s):
            raise ConfigError(
                f"{len(self.factors)} factors and {len(self.dwell_s)} dwell_s; give one of each "
                "for two states or more"
            )
        if (
            min(self.factors) < 0
            or not any(self.factors)
            or not all(map(math.isfinite, self.factors))
        ):
            raise ConfigError(f"factors are {self.factors}; give 0 or more, not all 0")
        if not 0 < min(self.dwell_s) <= max(self.dwell_s) < math.inf:
            raise ConfigError(f"dwell_s is {self.dwell_s}; give seconds above 0")

    def pieces(self, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
        """Without end; begins in a state drawn by its share of time, so that it is stationary."""
        pairs = list(zip(self.factors, self.dwell_s, strict=True))
        mean = sum(factor * dwell_s for factor, dwell_s in pairs) / sum(self.dwell_s)
        shares = np.asarray(self.dwell_s) / sum(self.dwell_s)
        first = int(rng.choice(len(pairs), p=shares))
        for factor, dwell_s in islice(cycle(pairs), first, None):
            yield float(rng.exponential(dwell_s)), factor / mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Hours of a day times days of a week, from Monday midnight on; the run begins at `start_hour`.

    Both are relative. The defaults are a smooth day with its peak at two in the afternoon and its
    trough, a quarter of the peak, twelve hours away, and weekends at half of a weekday: a round
    shape, not a measurement.
    """

    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
    start_hour: float = 0.0
    peak_hour: float = 14.0
    swing: float = 0.6
    shared: str = ""  # the same for everybody already

    def __post_init__(self) -> None:
        for name, values, num in (("hours", self.hours, 24), ("weekdays", self.weekdays, 7)):
            is_default = name == "hours" and not values
            if not is_default and (len(values) != num or min(values) < 0 or not any(values)):
                raise ConfigError(f"{name} are {values}; give {num} of 0 or more, not all 0")
        if not 0 <= self.swing <= 1:
            raise ConfigError(f"swing is {self.swing}; give 0 (flat) to 1 (nothing at night)")
        for name, value, most in (
            ("start_hour", self.start_hour, HOURS),
            ("peak_hour", self.peak_hour, 24),
        ):
            if not 0 <= value < most:
                raise ConfigError(f"{name} is {value}; give 0 or more, below {most}")

    def pieces(self, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
        """One per hour, the first one shorter where the run begins within it. Without end."""
        del rng  # the week is the same for every seed
        factors = self.factors()
        first = int(self.start_hour)
        yield (first + 1 - self.start_hour) * HOUR_S, factors[first]
        for factor in islice(cycle(factors), first + 1, None):
            yield HOUR_S, factor

    def factors(self) -> tuple[float, ...]:
        """Of the 168 hours, with a mean of 1."""
        hours = self.hours or tuple(map(self._smooth, range(24)))
        raw = [hours[hour % 24] * self.weekdays[hour // 24] for hour in range(HOURS)]
        mean = sum(raw) / HOURS
        return tuple(value / mean for value in raw)

    def _smooth(self, hour: int) -> float:
        return 1 + self.swing * math.cos(2 * math.pi * (hour + 0.5 - self.peak_hour) / 24)


Rhythm = Bursts | Week


def clock_times(
    operational_s: Iterator[float], pieces: Iterator[tuple[float, float]]
) -> Iterator[float]:
    """Times on the clock of ascending operational times."""
    clock_s, passed_s = 0.0, 0.0  # at the beginning of the piece, on both clocks
    seconds, factor = next(pieces)
    for time_s in operational_s:
        while time_s > passed_s + seconds * factor:
            clock_s += seconds
            passed_s += seconds * factor
            seconds, factor = next(pieces)
        yield clock_s + (time_s - passed_s) / factor
