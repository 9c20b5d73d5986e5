"""The roofline of a plan: every phase of every model on board, at the batch it is planned with."""

import math
from dataclasses import dataclass

from loadsheet.cost.phase import Phase, phase
from loadsheet.cost.stack import Stack, run_by
from loadsheet.cost.work import Work, steps
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.planner.demand import ImageSizes, TextSizes
from loadsheet.planner.fit import ModelFit
from loadsheet.planner.plan import Plan, PlannedGroup
from loadsheet.planner.problem import Problem
from loadsheet.planner.sheet.pool import option_of
from loadsheet.specs.precision import of

_DECODE = "decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """What one device could do at most; `dtype` is what its peak is of."""

    device: str
    dtype: str
    flops_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoofPoint:
    """One run of a phase on one device. `flops` and `num_bytes` are its share of a tp group."""

    model: str
    phase: str
    device: str
    batch: int
    flops: float
    num_bytes: float
    seconds: float
    is_memory_bound: bool

    @property
    def intensity(self) -> float:
        return self.flops / self.num_bytes

    @property
    def flops_per_s(self) -> float:
        return self.flops / self.seconds


def roofs_of(plan: Plan, problem: Problem) -> tuple[tuple[Roof, ...], tuple[RoofPoint, ...]]:
    """One roof per device and number format, points without repeats."""
    roofs: dict[tuple[str, str], Roof] = {}
    points: dict[tuple[str, str, str], RoofPoint] = {}
    for group in plan.groups:
        option = option_of(group, problem)
        if option is None:
            continue
        for fit in option.fits:
            roof = _roof(fit.device, fit.model.dtype)
            roofs[roof.device, roof.dtype] = roof
            for point in _points(group, fit):
                points.setdefault((point.device, point.model, point.phase), point)
    return tuple(roofs.values()), tuple(points.values())


def _roof(device: Device, dtype: str) -> Roof:
    return Roof(
        device=device.name,
        dtype=device.native(dtype),
        flops_per_s=device.flops_per_s(dtype),
        bytes_per_s=device.memory_bytes_per_s,
    )


def _points(group: PlannedGroup, fit: ModelFit) -> list[RoofPoint]:
    batch = _sequences(group, fit)
    alone = _phases(fit, _work(fit, 1))
    if batch > 1:
        busy = {one.name: one for one in _phases(fit, _work(fit, batch))}
        alone = [busy[one.name] if one.name == _DECODE else one for one in alone]
    return [
        RoofPoint(
            model=fit.model.name,
            phase=one.name,
            device=fit.device.name,
            batch=batch if one.name == _DECODE else 1,
            flops=one.flops / fit.tp,
            num_bytes=one.num_bytes / fit.tp,
            seconds=one.seconds,
            is_memory_bound=one.bound_by == "memory",
        )
        for one in alone
        if one.flops and one.num_bytes
    ]


def _phases(fit: ModelFit, work: Work) -> list[Phase]:
    precision, found = of(fit.model.dtype, fit.model.kv_dtype), []
    stack = Stack(text=fit.model.engine, tp=fit.tp)
    for step in steps(fit.entry, work, precision):
        run = run_by(stack, step.component, step.shape, step.precision, fit.device)
        found.append(phase(step.name, step.repeats, run, fit.device))
    return found


def _sequences(group: PlannedGroup, fit: ModelFit) -> int:
    """Streams on one replica by Little's law; images are drawn one by one."""
    rates = {load.name: load.rate_rps for load in group.loads}
    inside = sum(
        rates.get(one.demand.name, 0.0) * one.held_s / group.replicas.num_replicas
        for one in fit.classes
    )
    is_text = isinstance(fit.classes[0].demand.sizes, TextSizes)
    return max(1, math.ceil(inside)) if is_text else 1


def _work(fit: ModelFit, batch: int) -> Work:
    """Of the model's busiest class."""
    busiest = max(fit.classes, key=lambda one: one.demand.planned_rps * one.seconds)
    match busiest.demand.sizes:
        case TextSizes() as text:
            return Work(
                batch=batch,
                input_tokens=max(1, round(text.prompt_tokens)),
                output_tokens=max(2, round(text.output_tokens)),
            )
        case ImageSizes() as image:
            steps_asked = max(1, round(image.num_steps))
            return Work(batch=batch, width=image.width, height=image.height, steps=steps_asked)
    raise ConfigError(f"{busiest.demand.name} is neither text nor images")
