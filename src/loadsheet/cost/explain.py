"""Take a model apart on a device: phases, families, memory by owner, what fits, what it costs."""

from dataclasses import dataclass

from loadsheet.cost.bill import Bill, bill, million
from loadsheet.cost.components import params
from loadsheet.cost.fit import held, largest_fit
from loadsheet.cost.kernel.constants import is_measured
from loadsheet.cost.ledger import Ledger
from loadsheet.cost.phase import Phase, phase
from loadsheet.cost.serving.offline_text import TextJob, offline_text
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.cost.stack import Stack, run_by
from loadsheet.cost.work import Work, loaded, steps
from loadsheet.errors import CapacityError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.specs.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`seconds` is the whole request as the software of `stack` is expected to run it, `bound_s`
    the bare roofline. `bills` are estimates of energy and dollars, see `cost/bill.py`."""

    model: str
    device: Device
    precision: Precision
    work: Work
    stack: Stack
    params: int
    phases: tuple[Phase, ...]
    ledger: Ledger  # of one device
    facts: dict[str, float]  # named results: ttft_s, tpot_s, tokens_per_s, largest_batch, …
    bills: tuple[Bill, ...]
    is_extrapolated: bool  # no kernel of the device's family was ever measured

    @property
    def seconds(self) -> float:
        return sum(part.total_seconds for part in self.phases)

    @property
    def bound_s(self) -> float:
        return sum(part.repeats * part.bound_s for part in self.phases)

    @property
    def flops(self) -> int:
        return sum(part.flops * part.repeats for part in self.phases)

    @property
    def num_bytes(self) -> int:
        return sum(part.num_bytes * part.repeats for part in self.phases)

    def bill(self, per: str) -> Bill:
        return next(one for one in self.bills if one.per == per)


def explain(
    entry: Entry, device: Device, precision: Precision, work: Work, stack: Stack | None = None
) -> Explanation:
    """`stack` None is the plain one: vLLM for text, a compiled pipeline for images."""
    stack = stack or Stack()
    planned = steps(entry, work, precision)
    phases = tuple(
        phase(
            step.name,
            step.repeats,
            run_by(stack, step.component, step.shape, step.precision, device),
            device,
        )
        for step in planned
    )
    facts = {
        **_speed(phases, work, entry),
        **_saturated(entry, device, precision, work, stack),
        **largest_fit(entry, planned, precision, work, (device.memory_bytes, stack.tp)),
    }
    return Explanation(
        model=entry.name,
        device=device,
        precision=precision,
        work=work,
        stack=stack,
        params=sum(params(part) for part in loaded(entry)),
        phases=phases,
        ledger=held(entry, planned, precision, work, stack.tp),
        facts=facts,
        bills=_bills(phases, facts, device, stack.tp),
        is_extrapolated=not is_measured(device),
    )


def _speed(phases: tuple[Phase, ...], work: Work, entry: Entry) -> dict[str, float]:
    by_name = {part.name: part for part in phases}
    whole_s = sum(part.total_seconds for part in phases)
    if isinstance(entry.model, PipelineSpec):
        return {"s_per_image": whole_s / work.batch, "images_per_s": work.batch / whole_s}
    if "prefill" not in by_name:
        return {"requests_per_s": work.batch / whole_s}
    facts = {}
    if "prefill" in by_name:
        facts["ttft_s"] = by_name["prefill"].seconds
        facts["tokens_per_s"] = work.batch * work.output_tokens / whole_s
    if "decode" in by_name:
        facts["tpot_s"] = by_name["decode"].seconds
    return facts


def _saturated(
    entry: Entry, device: Device, precision: Precision, work: Work, stack: Stack
) -> dict[str, float]:
    """Output tokens per second of a device kept full; nothing where the model does not fit."""
    if not isinstance(entry.model, DecoderSpec):
        return {}
    (component,) = entry.components()
    model = TextModel(component=component, device=device, precision=precision, tp=stack.tp)
    job = TextJob(
        model=model,
        engine=text_engine(stack.text),
        input_tokens=work.input_tokens,
        output_tokens=work.output_tokens,
    )
    try:
        rate = offline_text(job)
    except CapacityError:
        return {}
    return {"saturated_tokens_per_s": rate.output_tokens_per_s, "saturated_batch": rate.batch}


def _bills(
    phases: tuple[Phase, ...], facts: dict[str, float], device: Device, num_devices: int
) -> tuple[Bill, ...]:
    bills = [
        bill(f"{part.name} step" if part.repeats > 1 else part.name, part.seconds, device,
             num_devices)
        for part in phases
    ]  # fmt: skip
    bills.append(bill("request", sum(part.total_seconds for part in phases), device, num_devices))
    if "s_per_image" in facts:
        bills.append(bill("image", facts["s_per_image"], device, num_devices))
    if "tokens_per_s" in facts:
        bills.append(million("output tokens", facts["tokens_per_s"], device, num_devices))
    if "saturated_tokens_per_s" in facts:
        rate = facts["saturated_tokens_per_s"]
        bills.append(million("output tokens, saturated", rate, device, num_devices))
    return tuple(bills)
