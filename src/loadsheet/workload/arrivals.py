"""When requests come: open-loop renewal processes, and the closed loop of a fixed set of users.

An open loop does not wait for answers, as independent users do not; a closed loop keeps a number of
requests in flight, as a batch job or a saturation test does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loadsheet.errors import ConfigError
from loadsheet.workload.rhythm import Rhythm, clock_times


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Independent gaps with mean 1/rate and coefficient of variation `cv`, gamma distributed.

    cv 1 is Poisson, 0 a metronome, above 1 bursty (vLLM's `burstiness` is 1/cv²). With a `rhythm`
    the rate is the mean over a long time, and gaps are stretched where the rhythm is slow.
    """

    rate_rps: float
    cv: float = 1.0
    rhythm: Rhythm | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate_rps < float("inf"):
            raise ConfigError(f"rate_rps is {self.rate_rps}; give requests per second above 0")
        if not 0 <= self.cv < float("inf"):
            raise ConfigError(f"cv is {self.cv}; give 0 (even), 1 (Poisson) or more (bursts)")

    def times_s(
        self, rng: np.random.Generator, rhythm_rng: np.random.Generator | None = None
    ) -> Iterator[float]:
        """Arrival times from 0 on, without end. A rhythm draws its states from a stream of its
        own, `rhythm_rng`."""
        if self.rhythm is None:
            return self._steady_s(rng)
        if rhythm_rng is None:
            raise ValueError("a rhythm needs its own generator")
        return clock_times(self._steady_s(rng), self.rhythm.pieces(rhythm_rng))

    def _steady_s(self, rng: np.random.Generator) -> Iterator[float]:
        now_s = 0.0
        while True:
            now_s += self._gap_s(rng)
            yield now_s

    def _gap_s(self, rng: np.random.Generator) -> float:
        if self.cv == 0:
            return 1 / self.rate_rps
        shape = 1 / self.cv**2
        return float(rng.gamma(shape, 1 / (self.rate_rps * shape)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """`concurrency` users; each sends its next request `think_s` after its last one ended."""

    concurrency: int = 1
    think_s: float = 0.0

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"concurrency is {self.concurrency}; give at least 1")
        if not 0 <= self.think_s < float("inf"):
            raise ConfigError(f"think_s is {self.think_s}; give 0 or more seconds")
