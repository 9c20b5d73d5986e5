"""A few seconds of one replica of each group, simulated: token iterations and image steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loadsheet.planner.demand import Demand
from loadsheet.planner.plan import Plan, PlannedGroup
from loadsheet.planner.problem import Problem
from loadsheet.sched.plan import StepKind
from loadsheet.sim.deployment import Deployment
from loadsheet.sim.plan_simulation import Simulator
from loadsheet.sim.span import Span
from loadsheet.workload.arrivals import OpenLoop
from loadsheet.workload.slo import ImageSLO
from loadsheet.workload.traffic import ImageTraffic, Traffic
from loadsheet.workload.workload import RunPlan, Workload

_MOST_GROUPS = 6  # shown; a page is no log file
_MOST_SPANS = 1200
_SHOWN_S, _WARMUP_S = 5.0, 5.0
_PICTURES = 4.0  # of the slowest image, at least
_ARRIVALS, _SEARCH_S = 3.0, 120.0  # of the rarest class, looked for so long
_BEFORE = 0.1  # of the window, ahead of the first image

OnGroup = Callable[[int, int], None]
"""(groups done, groups in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """Steps of one replica of `group` from `start_s` of the simulated time on, for `seconds`; it
    gets its share of the planned rates. `is_cut` where more happened than is kept."""

    group: str
    device: str
    seed: int
    start_s: float
    seconds: float
    spans: tuple[Span, ...]
    is_cut: bool


def gantts_of(plan: Plan, problem: Problem, on_group: OnGroup) -> tuple[Gantt, ...]:
    """Of the groups with the most devices."""
    largest = sorted(plan.groups, key=lambda group: -group.num_devices)[:_MOST_GROUPS]
    found = []
    for number, group in enumerate(largest):
        on_group(number, len(largest))
        found.append(_gantt(group, problem))
    on_group(len(largest), len(largest))
    return tuple(found)


def _gantt(group: PlannedGroup, problem: Problem) -> Gantt:
    demands = {one.name: one for one in problem.demands}
    loads = [load for load in group.loads if load.rate_rps > 0]
    each = group.replicas.num_replicas
    slowest = max(
        (load.seconds_per_request for load in loads if demands[load.name].kind == "image"),
        default=0.0,
    )
    shown_s = max(_SHOWN_S, _PICTURES * slowest)
    rarest = min((load.rate_rps / each for load in loads), default=1.0)
    search_s = min(max(shown_s, _ARRIVALS / rarest), max(_SEARCH_S, shown_s))
    workload = Workload(
        name=group.replicas.name,
        traffic=tuple(steady(demands[load.name], load.rate_rps / each) for load in loads),
        run=RunPlan(drain_s=0.0),
    )
    seed = problem.question.workload.seed
    simulator = Simulator(book=problem.book, trace_s=(_WARMUP_S, _WARMUP_S + search_s))
    alone = Deployment(groups=(replace(group.replicas, num_replicas=1),))
    result = simulator.run(alone, workload, seconds=search_s, seed=seed, warmup=_WARMUP_S)
    spans = sorted(result.replicas[0].spans, key=lambda span: span.start_s)
    start_s = _start_s(spans, shown_s, _WARMUP_S + search_s)
    kept = [s for s in spans if s.end_s > start_s and s.start_s < start_s + shown_s]
    return Gantt(
        group=group.replicas.name,
        device=group.replicas.device,
        seed=seed,
        start_s=start_s,
        seconds=shown_s,
        spans=tuple(kept[:_MOST_SPANS]),
        is_cut=len(kept) > _MOST_SPANS,
    )


def _start_s(spans: Sequence[Span], shown_s: float, end_s: float) -> float:
    """A little before the first image, where there is one: that is what one wants to see."""
    first = next((span.start_s for span in spans if span.kind is not StepKind.TEXT), _WARMUP_S)
    return min(max(_WARMUP_S, first - _BEFORE * shown_s), end_s - shown_s)


def steady(demand: Demand, rate_rps: float) -> Traffic:
    """The class at an even rate, as a planner sees it."""
    traffic = demand.traffic
    if isinstance(traffic, ImageTraffic):
        assert isinstance(demand.slo, ImageSLO)
        process = OpenLoop(rate_rps=rate_rps / traffic.num_images, cv=demand.arrival_cv)
        return replace(traffic, arrivals=process, slo=demand.slo)
    return replace(traffic, arrivals=OpenLoop(rate_rps=rate_rps, cv=demand.arrival_cv))
