"""A deployment under a workload, simulated: what a plan would do.

    result = simulate_plan(deployment, workload, seconds=300, seed=1, warmup=30)

Whoever simulates more than once keeps a `Simulator`, which keeps the prices of steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from loadsheet.distribution import Distribution
from loadsheet.errors import ConfigError
from loadsheet.sim.autoscaling import begin_autoscaling
from loadsheet.sim.class_results import (
    ClassFacts,
    by_class,
    class_result,
    gap_distribution,
)
from loadsheet.sim.demand import Demand
from loadsheet.sim.deployment import Deployment
from loadsheet.sim.fleet import Fleet
from loadsheet.sim.observation import Progress, Window, observe
from loadsheet.sim.price_book import PriceBook
from loadsheet.sim.record import Record
from loadsheet.sim.replica_results import replica_result
from loadsheet.sim.result import ClassResult, SimResult
from loadsheet.sim.router import make_router
from loadsheet.sim.scenario import Scenario
from loadsheet.sim.served_model import ServedModel, served_model
from loadsheet.sim.simulation import Simulation
from loadsheet.sim.span import SpanRecorder
from loadsheet.sim.token_gaps import TokenGaps
from loadsheet.workload.slo import SLO, ImageSLO
from loadsheet.workload.traffic import StandaloneSLO, Traffic
from loadsheet.workload.workload import Workload


def simulate_plan(
    deployment: Deployment,
    workload: Workload,
    *,
    seconds: float,
    seed: int = 0,
    warmup: float = 0.0,
    scenario: Scenario | None = None,
) -> SimResult:
    """See `Simulator.run`."""
    simulator = Simulator(scenario=scenario or Scenario())
    return simulator.run(deployment, workload, seconds=seconds, seed=seed, warmup=warmup)


@dataclass(slots=True, kw_only=True)
class Simulator:
    """`trace_s` records the steps between two times as `spans` of every replica; `log_dir` is an
    existing folder for an event log of each, which `runtime.replay` replays."""

    scenario: Scenario = field(default_factory=Scenario)
    book: PriceBook = field(default_factory=PriceBook)
    trace_s: tuple[float, float] | None = None
    log_dir: Path | None = None
    progress: Progress | None = None

    def run(
        self,
        deployment: Deployment,
        workload: Workload,
        *,
        seconds: float,
        seed: int = 0,
        warmup: float = 0.0,
    ) -> SimResult:
        """Requests due in `seconds` after `warmup` count; the load stays on until they are over or
        `workload.run.drain_s` is. `seed` fixes every draw, in place of the workload's."""
        window = _window(seconds, warmup)
        if self.log_dir is not None and self.scenario.failures:
            raise ConfigError("a failed replica forgets its log; ask for a log or for failures")
        models = {one.name: served_model(one, deployment, self.book) for one in workload.traffic}
        demand = Demand(
            workload=workload,
            models=models,
            seed=seed,
            start_s=window.start_s,
            end_s=window.end_s,
            until_s=window.end_s + workload.run.drain_s,
        )
        recorders: dict[str, SpanRecorder] = {}
        fleet = Fleet(
            deployment=deployment,
            book=self.book,
            scenario=self.scenario,
            seed=seed,
            record_spans=partial(self._recorder, recorders),
            log_dir=self.log_dir,
        )
        simulation = Simulation([], make_router(deployment.router), follow_up=demand.over)
        fleet.begin(simulation)
        for autoscaler in self.scenario.autoscalers:
            begin_autoscaling(autoscaler, fleet, simulation, demand.until_s)
        observe(fleet, simulation, window, self.progress)
        records = simulation.run(demand.jobs(), demand.until_s)
        fleet.close()
        replicas = tuple(
            replica_result(
                one,
                self.book.device(one.group.device),
                window,
                tuple(recorders[one.name].spans) if one.name in recorders else (),
            )
            for one in fleet.replicas
        )
        classes = _classes(workload.traffic, models, records, window, seed)
        costs = [one.cost_usd for one in replicas]
        return SimResult(
            seconds=seconds,
            warmup_s=warmup,
            seed=seed,
            classes=classes,
            itl=_gaps(fleet),
            joint_goodput_rps=sum(one.goodput_rps.value for one in classes),
            is_joint_met=all(one.is_met for one in classes),
            replicas=replicas,
            energy_j=sum(one.energy_j for one in replicas),
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            end_s=simulation.now_s,
            records=tuple(records),
        )

    def _recorder(self, recorders: dict[str, SpanRecorder], name: str) -> SpanRecorder | None:
        if self.trace_s is None:
            return None
        start_s, end_s = self.trace_s
        recorders[name] = SpanRecorder(start_s=start_s, end_s=end_s, spans=[])
        return recorders[name]


def _window(seconds: float, warmup: float) -> Window:
    if not 0 < seconds < float("inf") or not 0 <= warmup < float("inf"):
        raise ConfigError(
            f"simulate {seconds} seconds after {warmup}; give more than 0 after 0 or more"
        )
    return Window(start_s=warmup, end_s=warmup + seconds)


def _classes(
    traffic: Sequence[Traffic],
    models: dict[str, ServedModel],
    records: Sequence[Record],
    window: Window,
    seed: int,
) -> tuple[ClassResult, ...]:
    due, rng = by_class(records, window), np.random.default_rng(seed)
    return tuple(
        class_result(
            ClassFacts(
                name=one.name,
                kind=one.kind,
                model=models[one.name].name,
                slo=_slo(models[one.name], due.get(one.name, [])),
            ),
            due.get(one.name, []),
            window,
            rng,
        )
        for one in traffic
    )


def _slo(model: ServedModel, due: Sequence[Record]) -> SLO:
    """As promised; where a deadline grows with the image, the longest that was given."""
    if not isinstance(model.slo, StandaloneSLO):
        return model.slo
    given = [one.job.request.slo for one in due]
    deadlines = [slo.deadline_s for slo in given if isinstance(slo, ImageSLO)]
    return ImageSLO(deadline_s=max(deadlines, default=1.0), percentile=model.slo.percentile)


def _gaps(fleet: Fleet) -> dict[str, Distribution]:
    """Of every text model, over the replicas that hold it."""
    gaps: dict[str, list[TokenGaps]] = {}
    for replica in fleet.replicas:
        for model, clock in replica.device.clocks.items():
            gaps.setdefault(model, []).append(clock.gaps)
    found = {model: gap_distribution(ones) for model, ones in gaps.items()}
    return {model: one for model, one in found.items() if one is not None}
