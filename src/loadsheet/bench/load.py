"""The load generator: drives open and closed loops on time and keeps the load steady.

          start      window                          drain
    ├──────┼─warm-up──┼──────── measured ─────────────┼─ load goes on until the window's ─┤
                      start_ns                        end_ns       requests have ended

Requests *due* in the window are measured. After it the load goes on, so that the last of them meet
the same conditions as the first; what then still runs is cut and counted as unfinished.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from loadsheet.bench.call import Call, CallMaker
from loadsheet.bench.record import RequestRecord
from loadsheet.workload.arrivals import ClosedLoop
from loadsheet.workload.traffic import draws
from loadsheet.workload.workload import RunPlan

_ERROR_PAUSE_S = 0.1  # a closed loop must not spin on a server that refuses


class Send(Protocol):
    def __call__(self, call: Call, *, phase: str, due_ns: int) -> Awaitable[RequestRecord]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Nanoseconds since the run began."""

    start_ns: int
    end_ns: int

    def holds(self, at_ns: int) -> bool:
        return self.start_ns <= at_ns < self.end_ns

    @property
    def start_s(self) -> float:
        return self.start_ns / 1e9

    @property
    def end_s(self) -> float:
        return self.end_ns / 1e9

    @property
    def length_s(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Classes of traffic that play together; `name` marks their records."""

    name: str
    makers: tuple[CallMaker, ...]


class LoadGenerator:
    """`on_record` sees each record as it is complete; `stop` ends a phase early."""

    def __init__(
        self,
        *,
        send: Send,
        plan: RunPlan,
        clock_ns: Callable[[], int],
        on_record: Callable[[RequestRecord], None],
        stop: asyncio.Event,
    ) -> None:
        self._send = send
        self._plan = plan
        self._clock_ns = clock_ns
        self._on_record = on_record
        self._stop = stop
        self._in_flight: dict[asyncio.Task[RequestRecord], int] = {}

    @property
    def num_in_flight(self) -> int:
        return len(self._in_flight)

    async def play(self, phase: Phase, window: Window, start_ns: int) -> Window:
        """Returns when every request has a record; the window ends early if traces or a stop do."""
        drivers = [
            asyncio.create_task(self._drive(phase.name, maker, start_ns)) for maker in phase.makers
        ]
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await self._wait(drivers, until_ns=window.end_ns, stopped=stopped)
            if all(driver.done() for driver in drivers):  # traces ended: no more will come
                await self._wait(self._in_flight, until_ns=window.end_ns, stopped=stopped)
            played = replace(window, end_ns=min(window.end_ns, self._clock_ns()))
            await self._drain(played, window.end_ns, stopped)
        finally:
            await _cancel([stopped, *drivers])
            await _cancel(list(self._in_flight))
        for driver in drivers:
            if not driver.cancelled() and (error := driver.exception()) is not None:
                raise error
        return played

    async def _drain(self, window: Window, end_ns: int, stopped: asyncio.Task[bool]) -> None:
        """Keep the load on until the requests due in the window have ended."""
        deadline_ns = end_ns + round(self._plan.drain_s * 1e9)
        while not stopped.done() and self._clock_ns() < deadline_ns:
            due = {task for task, due_ns in self._in_flight.items() if window.holds(due_ns)}
            if not due:
                return
            await self._wait(due, until_ns=deadline_ns, stopped=stopped)

    async def _wait(
        self,
        tasks: Collection[asyncio.Task[object]],
        *,
        until_ns: int,
        stopped: asyncio.Task[bool],
    ) -> None:
        """Until all tasks are done (a trace ended), one failed, the time came or a stop."""
        pending = {*tasks}
        while pending and not stopped.done():
            left_s = (until_ns - self._clock_ns()) / 1e9
            if left_s <= 0:
                return
            done, _ = await asyncio.wait(
                {*pending, stopped},
                timeout=left_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if any(task is not stopped and task.exception() is not None for task in done):
                return
            pending -= done

    async def _drive(self, phase: str, maker: CallMaker, start_ns: int) -> None:
        calls = _calls(maker)
        if isinstance(maker.traffic.arrivals, ClosedLoop):
            loop = maker.traffic.arrivals
            users = [self._user(phase, calls, loop) for _ in range(loop.concurrency)]
            async with asyncio.TaskGroup() as group:
                for user in users:
                    group.create_task(user)
            return
        for arrival_s, call in calls:
            assert arrival_s is not None
            due_ns = start_ns + round(arrival_s * 1e9)
            await self._sleep_until(due_ns)
            self._start(phase, call, due_ns)

    async def _user(
        self, phase: str, calls: Iterator[tuple[float | None, Call]], loop: ClosedLoop
    ) -> None:
        for _, call in calls:
            task = self._start(phase, call, self._clock_ns())
            await asyncio.wait([task])  # unlike `await task`, cancelling this leaves the request
            record = task.result()
            pause_s = loop.think_s if record.is_ok else max(loop.think_s, _ERROR_PAUSE_S)
            if pause_s:
                await asyncio.sleep(pause_s)

    def _start(self, phase: str, call: Call, due_ns: int) -> asyncio.Task[RequestRecord]:
        task = asyncio.ensure_future(self._send(call, phase=phase, due_ns=due_ns))
        assert isinstance(task, asyncio.Task)
        self._in_flight[task] = due_ns
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[RequestRecord]) -> None:
        del self._in_flight[task]
        if not task.cancelled():
            self._on_record(task.result())

    async def _sleep_until(self, due_ns: int) -> None:
        """At least one turn of the event loop, so that a late generator still reads answers."""
        await asyncio.sleep(max(0.0, (due_ns - self._clock_ns()) / 1e9))


def _calls(maker: CallMaker) -> Iterator[tuple[float | None, Call]]:
    """Bodies are made before their time comes, not when it has come."""
    for draw in draws(maker.traffic, maker.seed):
        yield draw.arrival_s, maker.call(draw)


async def _cancel(tasks: Collection[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
