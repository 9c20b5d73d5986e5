"""A plan under its planned traffic, simulated with several seeds.

Clusters with more traffic than a simulation can follow are simulated in proportion: every group
with the same load per replica on fewer replicas, which wait a little more than a larger pool would.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from loadsheet.metrics import TextTiming
from loadsheet.planner.demand import Demand
from loadsheet.planner.placement import Placement
from loadsheet.planner.problem import Problem
from loadsheet.sim.deployment import Deployment
from loadsheet.sim.plan_simulation import Simulator
from loadsheet.sim.record import Fate, Record
from loadsheet.sim.result import SimResult
from loadsheet.workload.arrivals import OpenLoop
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import ImageTraffic, Traffic
from loadsheet.workload.workload import RunPlan, Workload

_WANTED = 100  # requests of each class, at least
_SHORTEST_S, _LONGEST_S = 20.0, 3600.0
_WARMUP_SHARE = 0.25

OnSeed = Callable[[int, int], None]
"""(seeds done, seeds in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCheck:
    """One class over all seeds: counts, and latencies by metric, one tuple per seed."""

    num_due: tuple[int, ...]
    num_good: tuple[int, ...]
    latencies: Mapping[str, tuple[tuple[float, ...], ...]]

    @property
    def attainment(self) -> float:
        return sum(self.num_good) / sum(self.num_due) if sum(self.num_due) else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`scale` is the share of the traffic and replicas that was simulated."""

    classes: Mapping[str, ClassCheck]
    broken: tuple[str, ...]
    seconds: float
    scale: float
    seeds: tuple[int, ...]

    @property
    def is_met(self) -> bool:
        return not self.broken


def check(
    problem: Problem, placements: Sequence[Placement], seeds: Sequence[int], on_seed: OnSeed
) -> Check:
    """Simulates the placements under their planned rates."""
    demands = problem.demands
    share, counts = _scale(problem, placements)
    rates = _rates(placements, counts)
    seconds = _seconds(rates, problem.question.max_requests)
    warmup = min(_WARMUP_SHARE * seconds, 60.0)
    workload = Workload(
        name="check",
        traffic=tuple(_steady(one, rates[one.name]) for one in demands),
        run=RunPlan(drain_s=max(30.0, seconds)),
    )
    deployment = Deployment(
        groups=tuple(
            replace(one.replicas, num_replicas=count)
            for one, count in zip(placements, counts, strict=True)
        )
    )
    simulator = Simulator(book=problem.book)
    results = []
    for number, seed in enumerate(seeds):
        on_seed(number, len(seeds))
        results.append(
            simulator.run(deployment, workload, seconds=seconds, seed=seed, warmup=warmup)
        )
    on_seed(len(seeds), len(seeds))
    classes = {one.name: _class(one, results) for one in demands}
    broken = tuple(one.name for one in demands if classes[one.name].attainment < one.slo.percentile)
    return Check(classes=classes, broken=broken, seconds=seconds, scale=share, seeds=tuple(seeds))


def _scale(problem: Problem, placements: Sequence[Placement]) -> tuple[float, list[int]]:
    """Share simulated, and replicas of each group; at least one."""
    planned = sum(one.planned_rps for one in problem.demands)
    wanted = max(planned * _SHORTEST_S * (1 + _WARMUP_SHARE), 1.0)
    share = min(1.0, problem.question.max_requests / wanted)
    return share, [max(1, round(one.count * share)) for one in placements]


def _rates(placements: Sequence[Placement], counts: Sequence[int]) -> dict[str, float]:
    rates: dict[str, float] = {}
    for one, count in zip(placements, counts, strict=True):
        for name, rate_rps in one.rates.items():
            rates[name] = rates.get(name, 0.0) + rate_rps * count / one.count
    return rates


def _seconds(rates: Mapping[str, float], max_requests: int) -> float:
    """Long enough for the rarest class, short enough for all of them."""
    wanted = max(_WANTED / rate_rps for rate_rps in rates.values())
    allowed = max_requests / sum(rates.values()) / (1 + _WARMUP_SHARE)
    return min(max(min(wanted, allowed), _SHORTEST_S), _LONGEST_S)


def _steady(demand: Demand, rate_rps: float) -> Traffic:
    """The class at its planned rate, as long as it takes."""
    traffic = demand.traffic
    if isinstance(traffic, ImageTraffic):
        assert isinstance(demand.slo, ImageSLO)
        process = OpenLoop(rate_rps=rate_rps / traffic.num_images, cv=demand.arrival_cv)
        return replace(traffic, arrivals=process, slo=demand.slo)
    return replace(traffic, arrivals=OpenLoop(rate_rps=rate_rps, cv=demand.arrival_cv))


def _class(demand: Demand, results: Sequence[SimResult]) -> ClassCheck:
    due = [_due(result, demand.name) for result in results]
    latencies: dict[str, list[tuple[float, ...]]] = {name: [] for name in metrics_of(demand)}
    for records in due:
        values = [_latencies(record) for record in records if record.fate is Fate.SERVED]
        for name, groups in latencies.items():
            groups.append(tuple(one[name] for one in values if name in one))
    return ClassCheck(
        num_due=tuple(len(records) for records in due),
        num_good=tuple(sum(record.is_good() for record in records) for records in due),
        latencies={name: tuple(groups) for name, groups in latencies.items()},
    )


def metrics_of(demand: Demand) -> dict[str, float]:
    """Names of what was promised, with the limits in seconds."""
    slo = demand.slo
    if isinstance(slo, TextSLO):
        return {"ttft_s": slo.ttft_s, "tpot_s": slo.tpot_s}
    return {"time_to_image_s": slo.deadline_s}


def _due(result: SimResult, name: str) -> list[Record]:
    end_s = result.warmup_s + result.seconds
    return [
        record
        for record in result.records
        if record.job.class_name == name and result.warmup_s <= record.job.request.arrival_s < end_s
    ]


def _latencies(record: Record) -> dict[str, float]:
    timing = record.timing()
    if isinstance(timing, TextTiming):
        found = {"ttft_s": timing.ttft_s}
        return found if timing.tpot_s is None else {**found, "tpot_s": timing.tpot_s}
    return {"time_to_image_s": timing.time_to_image_s}
