"""How fast this client is on this machine: its ceiling, and what it adds to a latency.

The mock server runs in a process of its own, on another core where the system lets us choose, and
the client is held to one core. The whole path is used: drawing, prompts, sending, stamping,
parsing, records.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loadsheet.bench.http_client import HttpClient, Unreachable
from loadsheet.bench.overhead import Overhead
from loadsheet.bench.run import BenchConfig, BenchRun, Observer
from loadsheet.bench.target import Target
from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.lengths import Fixed
from loadsheet.workload.slo import ImageSLO
from loadsheet.workload.traffic import ImageTraffic, TextTraffic, Traffic
from loadsheet.workload.workload import RunPlan, Workload

_TTFT_S, _ITL_S = 0.05, 0.01
_TOKENS = 64
_START_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """`per_core` is the rate at a full core: measured rate / share of a core it took."""

    what: str
    unit: str
    rate: float
    overhead: Overhead
    added_p50_s: float | None = None
    added_p99_s: float | None = None

    @property
    def per_core(self) -> float:
        return self.rate / self.overhead.cpu_share


async def measure_ceilings(duration_s: float = 4.0) -> tuple[Ceiling, ...]:
    """Trivial requests flat out, streams flat out, and what 20 calm streams gain in latency."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
    try:
        async with _mock_server(cores[1] if len(cores) > 1 else None) as url:
            return (
                await _requests(url, duration_s),
                await _chunks(url, duration_s),
                await _calm(url, duration_s),
            )
    finally:
        if len(cores) > 1:
            os.sched_setaffinity(0, set(cores))


async def _requests(url: str, duration_s: float) -> Ceiling:
    traffic = ImageTraffic(
        name="trivial", arrivals=ClosedLoop(concurrency=32), slo=ImageSLO(deadline_s=1.0)
    )
    rate, overhead, _ = await _play(url, traffic, duration_s, "requests_per_s")
    return Ceiling(what="trivial requests", unit="requests/s", rate=rate, overhead=overhead)


async def _chunks(url: str, duration_s: float) -> Ceiling:
    traffic = TextTraffic(
        name="streams",
        arrivals=ClosedLoop(concurrency=100),
        prompt_tokens=Fixed(value=64),
        output_tokens=Fixed(value=_TOKENS),
    )
    rate, overhead, _ = await _play(url, traffic, duration_s, "output_tokens_per_s")
    return Ceiling(what="100 streams", unit="chunks/s", rate=rate, overhead=overhead)


async def _calm(url: str, duration_s: float) -> Ceiling:
    traffic = TextTraffic(
        name="calm", arrivals=OpenLoop(rate_rps=20.0), output_tokens=Fixed(value=16)
    )
    rate, overhead, ttft = await _play(url, traffic, duration_s, "requests_per_s")
    return Ceiling(
        what="20 requests/s, open loop",
        unit="requests/s",
        rate=rate,
        overhead=overhead,
        added_p50_s=ttft[0] - _TTFT_S,
        added_p99_s=ttft[1] - _TTFT_S,
    )


async def _play(
    url: str, traffic: Traffic, duration_s: float, rate: str
) -> tuple[float, Overhead, tuple[float, float]]:
    """The named rate, the overhead, and p50 and p99 of TTFT (0 for images)."""
    plan = RunPlan(warmup_s=1.0, duration_s=duration_s, drain_s=2.0)
    config = BenchConfig(
        workload=Workload(name="self-test", traffic=(traffic,), run=plan),
        target=Target(text_url=url, image_url=url),
    )
    result = await BenchRun(config, observer=Observer(), stop=asyncio.Event()).run()
    phase = result.summary.phases[0]
    found = phase.classes[0]
    ttft = found.distribution("ttft_s")
    latency = (ttft.quantiles["p50"].value, ttft.quantiles["p99"].value) if ttft else (0.0, 0.0)
    return found.rates[rate].value, phase.overhead, latency


@asynccontextmanager
async def _mock_server(core: int | None) -> AsyncIterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "loadsheet.bench.mock_server", "--port", str(port)]
    command += ["--ttft", str(_TTFT_S), "--itl", str(_ITL_S), "--image", "0"]
    process = subprocess.Popen(command)
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        url = f"http://127.0.0.1:{port}"
        await _until_up(url)
        yield url
    finally:
        process.terminate()
        process.wait()


async def _until_up(url: str) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _START_S
    async with HttpClient(clock_ns=lambda: 0, timeout_s=1.0) as client:
        while True:
            try:
                await client.get(f"{url}/v1/models")
                return
            except Unreachable as error:
                if loop.time() > deadline_s:
                    raise ConfigError(f"the mock server did not start: {error}") from error
                await asyncio.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
