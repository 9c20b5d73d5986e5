"""Time as an argument: the loop reads a clock, the scheduler never does."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_s(self) -> float: ...


class MonotonicClock:
    """Seconds since this clock was made; never jumps with the wall clock."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    def now_s(self) -> float:
        return time.monotonic() - self._start_s
