"""How much of what was measured is the client itself.

A probe on the client's own event loop sleeps and looks how late it wakes: an answer that arrives
then is stamped that late. Together with the client's share of a core and the lateness of sends this
tells whether the client was the bottleneck.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loadsheet.units import format_seconds

_PROBE_S = 0.02
_BUSY_SHARE = 0.8
_LATE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """`loop_delay` is how late the client looks at the network; the rest speaks for itself."""

    cpu_share: float
    loop_delay_p50_s: float
    loop_delay_p99_s: float
    send_delay_p99_s: float

    def warnings(self) -> tuple[str, ...]:
        found = []
        if self.cpu_share > _BUSY_SHARE:
            found.append(
                f"the client used {self.cpu_share:.0%} of a core: it may be the bottleneck; "
                "run it on a machine of its own or offer less load"
            )
        if self.loop_delay_p99_s > _LATE_S:
            found.append(
                f"the client looked at the network up to {format_seconds(self.loop_delay_p99_s)} "
                "late (p99): short latencies are overstated by as much; give it a core of its own"
            )
        if self.send_delay_p99_s > _LATE_S:
            found.append(
                f"sends left up to {format_seconds(self.send_delay_p99_s)} late (p99); latencies "
                "count from the scheduled send, so this is inside them"
            )
        return tuple(found)


class OverheadProbe:
    """Runs beside a phase: `start`, then `stop` gives what was seen in between."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._delays_s: list[float] = []
        self._task: asyncio.Task[None] | None = None
        self._start_ns = 0
        self._start_cpu_s = 0.0

    def start(self) -> None:
        self._start_ns, self._start_cpu_s = self._clock_ns(), time.process_time()
        self._task = asyncio.create_task(self._watch())

    async def stop(self, send_delays_s: Sequence[float]) -> Overhead:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        wall_s = max(1e-9, (self._clock_ns() - self._start_ns) / 1e9)
        p50_s, p99_s = np.quantile(self._delays_s or [0.0], [0.5, 0.99])
        return Overhead(
            cpu_share=(time.process_time() - self._start_cpu_s) / wall_s,
            loop_delay_p50_s=float(p50_s),
            loop_delay_p99_s=float(p99_s),
            send_delay_p99_s=float(np.quantile(send_delays_s or [0.0], 0.99)),
        )

    async def _watch(self) -> None:
        while True:
            before_ns = self._clock_ns()
            await asyncio.sleep(_PROBE_S)
            self._delays_s.append((self._clock_ns() - before_ns) / 1e9 - _PROBE_S)
