"""One training step of a model: FLOPs, time, memory by owner, energy and dollars."""

from dataclasses import asdict, dataclass, replace

from loadsheet.api.explanation_text import dollars, energy, memory_table
from loadsheet.cost.bill import basis, bill
from loadsheet.cost.components import active_params, params
from loadsheet.cost.seconds import seconds
from loadsheet.cost.shape import Logits, Span, TokenShape
from loadsheet.cost.stack import Stack, run_by
from loadsheet.cost.train import Recompute, TrainStep, TrainTime, train_step, train_time
from loadsheet.cost.work import Step, Work, steps
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import Role
from loadsheet.specs.precision import Precision
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds

_TRAINED = (Role.DECODER, Role.DENOISER, Role.ENCODER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A step over `batch` sequences of `input_tokens`, or over the denoiser's pictures, in mixed
    precision with Adam. Times are simulated."""

    model: str
    device: Device
    precision: Precision
    work: Work
    trained_params: int
    tokens: int  # text tokens of the step; 0 for pictures
    active: int  # parameters that work on one token
    step: TrainStep
    time: TrainTime

    def table(self) -> str:
        return "\n\n".join([self._headline(), self._parts(), self._memory(), self._results()])

    def as_dict(self) -> dict[str, object]:
        """For JSON: everything in SI units."""
        return {
            **asdict(self),
            "flops": self.step.flops,
            "seconds": self.time.seconds,
            "memory_bytes": self.step.ledger.total_bytes(),
        }

    def _headline(self) -> str:
        what = f"{self.tokens:,} tokens" if self.tokens else f"{self.work.batch} pictures"
        return (
            f"{self.model}: one training step of {what} on {self.device.name}, "
            f"{self.precision.compute} with Adam in 32 bits\n"
            f"{amount(self.trained_params)} parameters trained; times simulated"
        )

    def _parts(self) -> str:
        step, time = self.step, self.time
        rows = [
            ["forward", amount(step.forward_flops, "FLOP"), format_seconds(time.forward_s)],
            ["backward", amount(step.backward_flops, "FLOP"), format_seconds(time.backward_s)],
        ]
        if step.recompute_flops:
            recomputed = amount(step.recompute_flops, "FLOP")
            rows.append(["recomputation", recomputed, format_seconds(time.recompute_s)])
        moved = amount(step.optimizer_bytes, "B")
        rows.append(["optimizer", moved, format_seconds(time.optimizer_s)])
        rows.append(["step", amount(step.flops, "FLOP"), format_seconds(time.seconds)])
        return table(["part", "amount", "expected"], rows)

    def _memory(self) -> str:
        missing = self.step.ledger.total_bytes() - self.device.memory_bytes
        text = memory_table(self.step.ledger)
        if missing <= 0:
            return text
        return (
            f"{text}\nnote: {format_bytes(missing)} more than one device holds; shard it, "
            "recompute (--recompute full) or take a smaller --batch"
        )

    def _results(self) -> str:
        peak = self.device.flops_per_s(self.precision.compute)
        cost = bill("step", self.time.seconds, self.device)
        rows = [
            ["at peak arithmetic", format_seconds(self.step.flops / peak)],
            ["model FLOPs utilisation", f"{100 * self.time.mfu(self.step, peak):.1f} %"],
        ]
        if self.tokens:
            six = 6 * self.active * self.tokens
            useful = self.step.forward_flops + self.step.backward_flops
            rows.append(["tokens per second", f"{self.tokens / self.time.seconds:,.0f}"])
            rows.append(["FLOPs over the rule 6·N·D", f"{useful / six:.3f}"])
        rows.append(["energy (estimate)", energy(cost.energy_j)])
        if cost.low_usd is not None:
            rows.append(["dollars, low price (estimate)", dollars(cost.low_usd)])
        return table(["result", "value"], rows) + "\n" + basis(self.device)


def training(
    entry: Entry, device: Device, precision: Precision, work: Work, recompute: Recompute
) -> Training:
    planned = _trained(entry, work, precision)
    stack = Stack()
    run = run_by(stack, planned.component, planned.shape, precision, device)
    forward_s = seconds(run.operators, device, run.kernels)
    step = train_step(entry.name, run.operators, recompute)
    shape, spec = planned.shape, planned.component.spec
    trained = params(planned.component)
    return Training(
        model=entry.name,
        device=device,
        precision=precision,
        work=work,
        trained_params=trained,
        tokens=shape.rows if isinstance(shape, TokenShape) else 0,
        active=active_params(spec) if isinstance(spec, DecoderSpec) else trained,
        step=step,
        time=train_time(step, forward_s, device.memory_bytes_per_s),
    )


def _trained(entry: Entry, work: Work, precision: Precision) -> Step:
    planned = [step for step in steps(entry, work, precision) if step.component.role in _TRAINED]
    if not planned:
        raise ConfigError(f"{entry.name} has no decoder, encoder or denoiser to train")
    step, shape = planned[0], planned[0].shape
    if isinstance(shape, TokenShape):
        shape = TokenShape(
            tokens=shape.tokens,
            context=shape.tokens,
            batch=work.batch,
            logits=Logits.ALL,
            span=Span.SERVED,
        )
    else:
        shape = replace(shape, batch=work.batch)  # guidance doubles requests, not training
    return Step(
        name="train",
        repeats=1,
        component=step.component,
        shape=shape,
        precision=precision,
    )
