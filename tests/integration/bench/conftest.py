"""A virtual clock under real sockets: scripted seconds pass in no time, and pass exactly.

The event loop's time stands still while there is anything to read or run, and jumps to the next
timer when there is not. Client and mock server share the loop, so every delay in a script shows up
in the client's stamps to the nanosecond, whatever the machine is doing.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine

import pytest

from loadsheet.bench.mock_server import Script, start_mock_server
from loadsheet.bench.run import BenchConfig, BenchRun, Observer, RunResult
from loadsheet.bench.target import Target
from loadsheet.workload.workload_file import parse_workload

_PATIENCE_S = 0.0005  # for the kernel to hand loopback bytes over


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return round(self.now_s * 1e9)


class _JumpingSelector(selectors.SelectSelector):  # the one that waits less than 1 ms
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        ready = super().select(_PATIENCE_S if timeout is not None else 5)
        if not ready:
            if timeout is None:
                raise AssertionError("the loop waits for bytes that nobody will send")
            self._loop.now_s += timeout
        return ready


def run_virtually(make: Callable[[VirtualTimeLoop], Coroutine]):
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(make(loop))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture
def virtually():
    return run_virtually


@pytest.fixture
def bench():
    """`bench(workload_document, script, stop_at_s=None)` plays a workload in virtual time."""

    def play(document: dict, script: Script, stop_at_s: float | None = None) -> RunResult:
        async def session(loop: VirtualTimeLoop) -> RunResult:
            server = await start_mock_server(script)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            stop = asyncio.Event()
            if stop_at_s is not None:
                loop.call_later(stop_at_s, stop.set)
            config = BenchConfig(
                workload=parse_workload(document), target=Target(text_url=url, image_url=url)
            )
            try:
                run = BenchRun(config, observer=Observer(), stop=stop, clock_ns=loop.time_ns)
                return await run.run()
            finally:
                server.close()
                await server.wait_closed()

        return run_virtually(session)

    return play
