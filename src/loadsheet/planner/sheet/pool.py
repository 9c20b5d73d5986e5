"""What the sliders of the page compute with: each group's closed form as plain numbers.

`page/closed_forms.js` is the same arithmetic in the browser; tests hold the two together.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from loadsheet.planner.demand import Demand
from loadsheet.planner.fit import ClassFit
from loadsheet.planner.option import Option
from loadsheet.planner.plan import Plan, PlannedGroup
from loadsheet.planner.problem import Problem
from loadsheet.workload.slo import TextSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolClass:
    """A class on a group. `rate_rps` goes there of the `planned_rps` of the class; `held` is
    byte-seconds per request; `limit_s` bounds the first token or the finished image."""

    name: str
    kind: str
    rate_rps: float
    planned_rps: float
    seconds: float
    prompt_s: float
    service_s: float
    alone_s: float
    blocked_s: float
    service_cv: float
    arrival_cv: float
    held: float
    percentile: float
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """`correction` is what the simulated check taught of `share`; `usd_per_hour` of one replica."""

    name: str
    device: str
    num_replicas: int
    num_devices: int  # of one replica
    spare: int
    usd_per_hour: float | None
    tax: float
    correction: float
    free_bytes: int
    classes: tuple[PoolClass, ...]
    tightest: str  # the class whose promise breaks first as the load grows

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @property
    def room(self) -> float:
        """Factor on the planned traffic at which its memory for requests is full."""
        held = sum(one.rate_rps * one.held for one in self.classes)
        return (self.num_replicas - self.spare) * self.free_bytes / held if held else math.inf


def pools_of(plan: Plan, problem: Problem) -> tuple[Pool, ...]:
    """Of every group whose option the problem still knows."""
    found = []
    for group in plan.groups:
        option = option_of(group, problem)
        if option is not None:
            found.append(_pool(plan, group, option))
    return tuple(found)


def option_of(group: PlannedGroup, problem: Problem) -> Option | None:
    replicas = group.replicas
    sought = (
        replicas.device,
        replicas.tp,
        sorted((one.name, one.dtype) for one in replicas.models),
    )
    for _, option in problem.options:
        models = sorted((fit.model.name, fit.model.dtype) for fit in option.fits)
        if (option.device.name, option.tp, models) == sought:
            return option
    return None


def _pool(plan: Plan, group: PlannedGroup, option: Option) -> Pool:
    each = group.replicas.num_replicas
    spare = min(plan.inputs.spare_replicas, each - 1)
    working = each - spare
    closed = option.share(each) / option.correction
    rates = {load.name: load.rate_rps for load in group.loads}
    return Pool(
        name=group.replicas.name,
        device=group.replicas.device,
        num_replicas=each,
        num_devices=group.replicas.num_devices,
        spare=spare,
        usd_per_hour=None if group.usd_per_hour is None else group.usd_per_hour / each,
        tax=option.tax,
        correction=group.max_utilisation / closed if closed else 1.0,
        free_bytes=option.free_bytes,
        classes=tuple(_class(option, one, rates) for one in option.classes),
        tightest=_tightest(option, working, rates),
    )


def _tightest(option: Option, working: int, rates: Mapping[str, float]) -> str:
    """By how much of its promise is used where the closed form ends."""
    full = option.share(working) / option.correction
    work = {one.demand.name: rates.get(one.demand.name, 0) * one.seconds for one in option.classes}
    text = sum(work[one.demand.name] for one in option.classes if one.demand.kind == "text")
    split = text / (sum(work.values()) or 1.0)
    worst = max(
        option.classes,
        key=lambda one: option.latency_s(one, working, full, split) / limit_s(one.demand),
    )
    return worst.demand.name


def limit_s(demand: Demand) -> float:
    """Of the first token or the finished image."""
    slo = demand.slo
    return slo.ttft_s if isinstance(slo, TextSLO) else slo.deadline_s


def _class(option: Option, one: ClassFit, rates: Mapping[str, float]) -> PoolClass:
    demand = one.demand
    return PoolClass(
        name=demand.name,
        kind=str(demand.kind),
        rate_rps=rates.get(demand.name, 0.0),
        planned_rps=demand.planned_rps,
        seconds=one.seconds,
        prompt_s=one.prompt_s,
        service_s=one.service_s,
        alone_s=one.alone_s,
        blocked_s=option.blocked_s(one),
        service_cv=one.service_cv,
        arrival_cv=demand.arrival_cv,
        held=one.held_bytes * one.held_s,
        percentile=demand.slo.percentile,
        limit_s=limit_s(demand),
    )
