"""One benchmark run from workload to records: probe, every class alone if asked, then the mix."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from loadsheet.bench.call import Call, CallMaker
from loadsheet.bench.environment import describe_environment
from loadsheet.bench.http_client import HttpClient
from loadsheet.bench.load import LoadGenerator, Phase, Window
from loadsheet.bench.overhead import OverheadProbe
from loadsheet.bench.probe import Prober
from loadsheet.bench.progress import ClassProgress, Progress, no_progress
from loadsheet.bench.promise import Promise
from loadsheet.bench.prompts import TokenLine
from loadsheet.bench.record import RequestRecord
from loadsheet.bench.summarize import MIXED, Facts, PlayedPhase, alone, summarize
from loadsheet.bench.summary import RunSummary
from loadsheet.bench.target import Target, server_version, with_models
from loadsheet.workload.request import RequestKind
from loadsheet.workload.traffic import TextTraffic, Traffic
from loadsheet.workload.workload import Workload

_TICK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """`tells_slo` sends each request's objective along (loadsheet's extension `slo`)."""

    workload: Workload
    target: Target
    api_key: str | None = None
    tells_slo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """`epoch_unix_ns` is the wall time at which the records' nanoseconds begin."""

    workload: Workload
    target: Target
    token_line: TokenLine
    facts: Facts
    phases: tuple[PlayedPhase, ...]
    summary: RunSummary
    environment: dict[str, object]
    server: dict[str, str]
    epoch_unix_ns: int
    is_interrupted: bool


class Observer:
    """Hears what happens in a run; this one ignores it all."""

    def on_record(self, record: RequestRecord) -> None: ...

    def on_progress(self, progress: Progress) -> None: ...


class BenchRun:
    """`stop` set from outside (Ctrl-C) ends the run early with what there is."""

    def __init__(
        self,
        config: BenchConfig,
        *,
        observer: Observer,
        stop: asyncio.Event,
        clock_ns: Callable[[], int] | None = None,
    ) -> None:
        self._config = config
        self._workload = config.workload
        self._observer = observer
        self._stop = stop
        self._clock_ns = clock_ns or _clock_from_now()
        self._records: list[RequestRecord] = []
        self._progress = no_progress(())

    @property
    def is_playing(self) -> bool:
        """Whether a phase is under way, so that stopping leaves something to report."""
        return self._progress.total_s > 0

    async def run(self) -> RunResult:
        environment, epoch_ns = describe_environment(), time.time_ns() - self._clock_ns()
        async with HttpClient(
            clock_ns=self._clock_ns,
            timeout_s=self._workload.run.timeout_s,
            api_key=self._config.api_key,
        ) as client:
            unnamed = [item.kind for item in self._workload.traffic if item.model is None]
            target = await with_models(client, self._config.target, list(dict.fromkeys(unnamed)))
            versions = {
                url: await server_version(client, url)
                for url in dict.fromkeys(target.url(kind) for kind in self._kinds())
            }
            token_line, promises = await self._probe(client, target)
            facts = Facts(promises=promises, models=self._models(target))
            phases = await self._play_all(client, target, token_line, facts)
        return RunResult(
            workload=self._workload,
            target=target,
            token_line=token_line,
            facts=facts,
            phases=phases,
            summary=summarize(phases, facts, self._workload.seed),
            environment=environment,
            server=versions,
            epoch_unix_ns=epoch_ns,
            is_interrupted=self._stop.is_set(),
        )

    async def _probe(
        self, client: HttpClient, target: Target
    ) -> tuple[TokenLine, dict[str, Promise]]:
        prober = Prober(
            client=client,
            target=target,
            seed=self._workload.seed,
            clock_ns=self._clock_ns,
            on_record=self._note,
        )
        models = self._models(target)
        token_line = TokenLine()
        texts = [item for item in self._workload.traffic if isinstance(item, TextTraffic)]
        if texts:
            token_line = await prober.token_line(texts[0], models[texts[0].name])
        num_requests = self._workload.run.standalone_requests
        promises = {
            traffic.name: await prober.promise(traffic, models[traffic.name], num_requests)
            for traffic in self._workload.traffic
        }
        return token_line, promises

    async def _play_all(
        self, client: HttpClient, target: Target, token_line: TokenLine, facts: Facts
    ) -> tuple[PlayedPhase, ...]:
        plans = self._phase_plans()
        played = []
        for index, (name, traffic) in enumerate(plans):
            if self._stop.is_set():
                break
            self._progress = self._new_progress(name, index, len(plans), traffic)
            makers = tuple(
                CallMaker(
                    traffic=item,
                    model=facts.models[item.name],
                    seed=self._workload.seed,
                    token_line=token_line,
                    promise=facts.promises[item.name] if self._config.tells_slo else None,
                )
                for item in traffic
            )
            phase = await self._play(client, target, Phase(name=name, makers=makers))
            if phase.window.end_ns > phase.window.start_ns:  # else stopped while warming up
                played.append(phase)
        return tuple(played)

    def _phase_plans(self) -> list[tuple[str, tuple[Traffic, ...]]]:
        """A workload of one class is that class alone."""
        traffic = self._workload.traffic
        apart: list[tuple[str, tuple[Traffic, ...]]] = [
            (alone(item.name), (item,)) for item in traffic
        ]
        if len(traffic) == 1:
            return apart
        return [*(apart if self._workload.run.measure_alone else []), (MIXED, traffic)]

    async def _play(self, client: HttpClient, target: Target, phase: Phase) -> PlayedPhase:
        async def send(call: Call, *, phase: str, due_ns: int) -> RequestRecord:
            url = target.url(call.shape.kind)
            return await client.send(call, base_url=url, phase=phase, due_ns=due_ns)

        records: list[RequestRecord] = []

        def keep(record: RequestRecord) -> None:
            records.append(record)
            self._note(record)

        plan = self._workload.run
        generator = LoadGenerator(
            send=send, plan=plan, clock_ns=self._clock_ns, on_record=keep, stop=self._stop
        )
        probe = OverheadProbe(self._clock_ns)
        probe.start()
        start_ns = self._clock_ns()
        ticker = asyncio.create_task(self._tick(generator, start_ns))
        window = Window(
            start_ns=start_ns + round(plan.warmup_s * 1e9),
            end_ns=start_ns + round((plan.warmup_s + plan.duration_s) * 1e9),
        )
        try:
            window = await generator.play(phase, window, start_ns)
        finally:
            ticker.cancel()
            measured = [record for record in records if window.holds(record.due_ns)]
            overhead = await probe.stop([record.client_wait_s for record in measured])
        return PlayedPhase(
            name=phase.name,
            window=window,
            traffic=tuple(maker.traffic for maker in phase.makers),
            records=tuple(records),
            overhead=overhead,
        )

    async def _tick(self, generator: LoadGenerator, start_ns: int) -> None:
        while True:
            self._progress.elapsed_s = (self._clock_ns() - start_ns) / 1e9
            self._progress.num_in_flight = generator.num_in_flight
            self._observer.on_progress(self._progress)
            await asyncio.sleep(_TICK_S)

    def _note(self, record: RequestRecord) -> None:
        self._progress.note(record)
        self._observer.on_record(record)

    def _new_progress(
        self, name: str, index: int, num_phases: int, traffic: tuple[Traffic, ...]
    ) -> Progress:
        plan = self._workload.run
        return Progress(
            phase=name,
            phase_idx=index,
            num_phases=num_phases,
            total_s=plan.warmup_s + plan.duration_s,
            classes={item.name: ClassProgress(kind=item.kind) for item in traffic},
        )

    def _kinds(self) -> list[RequestKind]:
        return list(dict.fromkeys(traffic.kind for traffic in self._workload.traffic))

    def _models(self, target: Target) -> dict[str, str | None]:
        return {
            traffic.name: traffic.model or target.model(traffic.kind)
            for traffic in self._workload.traffic
        }


def _clock_from_now() -> Callable[[], int]:
    start_ns = time.monotonic_ns()
    return lambda: time.monotonic_ns() - start_ns
