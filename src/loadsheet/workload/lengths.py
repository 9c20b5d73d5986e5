"""How long prompts and answers are: distributions over positive integers.

Every distribution is truncated to its `min` and `max` by drawing again, which keeps its shape
inside; clipping would pile the tails up on the bounds.
"""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from loadsheet.errors import ConfigError

_MAX_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    value: int

    def __post_init__(self) -> None:
        _check_range(self.value, self.value)

    def sample(self, rng: np.random.Generator) -> int:
        del rng  # same signature as the random ones
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Every integer from `min` to `max`, both included, equally likely."""

    min: int
    max: int

    def __post_init__(self) -> None:
        _check_range(self.min, self.max)

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.min, self.max + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """`mean` and `cv` are those of the distribution before truncation; values are rounded."""

    mean: float
    cv: float
    min: int = 1
    max: int = 1_000_000

    def __post_init__(self) -> None:
        _check_range(self.min, self.max)
        if not self.min <= self.mean <= self.max:
            raise ConfigError(f"mean {self.mean} lies outside {self.min} to {self.max}")
        if not 0 < self.cv <= 10:
            raise ConfigError(f"cv is {self.cv}; give a number above 0, at most 10")

    def sample(self, rng: np.random.Generator) -> int:
        variance = log(1 + self.cv**2)
        for _ in range(_MAX_DRAWS):
            value = round(rng.lognormal(log(self.mean) - variance / 2, sqrt(variance)))
            if self.min <= value <= self.max:
                return int(value)
        raise ConfigError(
            f"lognormal mean {self.mean} cv {self.cv} almost never falls in "
            f"{self.min} to {self.max}; widen the range"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Empirical:
    """One of `values`, with `weights` (equal when empty)."""

    values: tuple[int, ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("an empirical distribution needs values")
        _check_range(min(self.values), max(self.values))
        if self.weights and len(self.weights) != len(self.values):
            raise ConfigError(f"{len(self.values)} values but {len(self.weights)} weights")
        if self.weights and (min(self.weights) < 0 or sum(self.weights) <= 0):
            raise ConfigError("weights must be 0 or more, and not all 0")

    def sample(self, rng: np.random.Generator) -> int:
        if not self.weights:
            return self.values[int(rng.integers(len(self.values)))]
        shares = np.asarray(self.weights) / sum(self.weights)
        return self.values[int(rng.choice(len(self.values), p=shares))]


Length = Fixed | Uniform | LogNormal | Empirical


def _check_range(low: int, high: int) -> None:
    if not 1 <= low <= high:
        raise ConfigError(f"lengths from {low} to {high} are no range; give 1 <= min <= max")
