"""Which cores compute what: core sets and thread counts are said, nothing is guessed twice.

The cores that the process may use are given out by share: all of them, or one half to each of two
lanes. A lane's thread is bound to its cores before a step, and computes with as many threads as
those are.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadsheet.errors import ConfigError

WHOLE, HALF = 1.0, 0.5

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuShare:
    """Cores that one compiled model may compute on."""

    num_threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuCores:
    """Cores by the system's numbers, hardware threads of one core side by side."""

    numbers: tuple[int, ...]

    @property
    def num_lanes(self) -> int:
        """Two, where each can have a core of its own."""
        return min(2, len(self.numbers))

    def of(self, lane: int, share: float) -> tuple[int, ...]:
        """The cores of a lane; lane 0 has the first half."""
        if share == WHOLE:
            return self.numbers
        middle = len(self.numbers) // 2
        return self.numbers[middle:] if lane else self.numbers[:middle]

    def shares(self, lane: int) -> dict[float, CpuShare]:
        """What the models of a lane are compiled for."""
        kinds = (WHOLE, HALF)[: self.num_lanes]
        return {share: CpuShare(num_threads=len(self.of(lane, share))) for share in kinds}

    def describe(self) -> str:
        """For people: `0-3 (text 0-1, the rest 2-3 while both work)`."""
        if self.num_lanes == 1:
            return _ranges(self.numbers)
        text, rest = (_ranges(self.of(lane, HALF)) for lane in range(2))
        return f"{_ranges(self.numbers)} (text {text}, the rest {rest} while both work)"


def cores_of_process(num_threads: int | None = None) -> CpuCores:
    """Those that this process may run on; the first `num_threads` of them where that is given."""
    allowed = _allowed()
    if num_threads is not None and num_threads > len(allowed):
        raise ConfigError(
            f"--threads is {num_threads}, but this process may run on {len(allowed)} cores; "
            f"give at most {len(allowed)}"
        )
    numbers = sorted(allowed, key=lambda number: (_first_sibling(number), number))
    return CpuCores(numbers=tuple(numbers[:num_threads]))


def bind_thread(cores: Sequence[int]) -> None:
    """Let the calling thread, and what it starts from now on, run on these cores alone."""
    if hasattr(os, "sched_setaffinity"):  # no system but Linux can
        os.sched_setaffinity(0, cores)


def _allowed() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _first_sibling(number: int) -> int:
    path = Path(_SIBLINGS.format(number))
    if not path.exists():
        return number
    return int(path.read_text().replace("-", ",").split(",")[0])


def _ranges(numbers: Sequence[int]) -> str:
    """0-3,8 for 0, 1, 2, 3, 8."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}" for one in parts)
