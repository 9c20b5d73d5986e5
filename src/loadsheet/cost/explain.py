"""Take a model apart on a device: phases, families, memory by owner, what fits, what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from loadsheet.cost.components import operators, params
from loadsheet.cost.ledger import Ledger, LedgerLine, Owner
from loadsheet.cost.memory import (
    activation_bytes,
    decoder_ledger,
    image_ledger,
    kv_bytes,
    kv_bytes_per_token,
    largest,
    weight_bytes,
)
from loadsheet.cost.operator import Operator
from loadsheet.cost.phase import Phase, phase
from loadsheet.cost.seconds import Calibration
from loadsheet.cost.shape import Logits, PictureShape, Span, TokenShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One request, `batch` of them at once. None takes the model's own default."""

    batch: int = 1
    input_tokens: int = 512
    output_tokens: int = 128
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "input_tokens", "output_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"steps is {self.steps}; it must be 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`seconds` is the whole request; energy assumes the device's full power for that time and
    dollars the low price, both estimates."""

    model: str
    device: Device
    precision: Precision
    work: Work
    params: int
    phases: tuple[Phase, ...]
    ledger: Ledger
    facts: dict[str, float]  # named results: ttft_s, tpot_s, tokens_per_s, largest_batch, …

    @property
    def seconds(self) -> float:
        return sum(part.total_seconds for part in self.phases)

    @property
    def energy_j(self) -> float:
        return self.seconds * self.device.power_w

    @property
    def usd(self) -> float | None:
        price = self.device.price
        return None if price is None else self.seconds / 3600 * price.low_usd_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A phase before it is priced."""

    name: str
    repeats: int
    component: Component
    shape: TokenShape | PictureShape


def steps(entry: Entry, work: Work) -> tuple[Step, ...]:
    """Everything one request runs, in order."""
    return tuple(_pipeline_steps(entry, work) if _is_pipeline(entry) else _text_steps(entry, work))


def explain(
    entry: Entry,
    device: Device,
    precision: Precision,
    work: Work,
    calibration: Calibration | None = None,
) -> Explanation:
    reached = calibration or Calibration()
    planned = steps(entry, work)
    phases = tuple(
        phase(
            step.name,
            step.repeats,
            operators(step.component, step.shape, precision),
            device,
            reached,
        )
        for step in planned
    )
    ledger = _ledger(entry, planned, precision, work)
    return Explanation(
        model=entry.name,
        device=device,
        precision=precision,
        work=work,
        params=sum(params(part) for part in _loaded(entry)),
        phases=phases,
        ledger=ledger,
        facts={
            **_speed(phases, work, entry),
            **_fits(entry, planned, precision, work, device.memory_bytes),
        },
    )


def walked(entry: Entry, work: Work, precision: Precision) -> Iterator[tuple[Step, list[Operator]]]:
    """Each step with its operators, for breakdowns finer than a phase."""
    for step in steps(entry, work):
        yield step, operators(step.component, step.shape, precision)


def reserved(explanation: Explanation, share: float) -> Ledger:
    """What a server holds that reserves `share` of the device: it fills the rest with KV blocks.

    This is why a model of a billion parameters is seen to take seventy gigabytes."""
    if not 0 < share <= 1:
        raise ConfigError(f"the reserved share is {share}; it must be between 0 and 1")
    kept = [line for line in explanation.ledger.lines if line.owner is not Owner.KV_BLOCKS]
    budget = int(explanation.device.memory_bytes * share)
    spare = budget - sum(line.num_bytes for line in kept)
    blocks = LedgerLine(
        owner=Owner.KV_BLOCKS, model=explanation.model, part="reserved", num_bytes=max(spare, 0)
    )
    return Ledger(lines=(*kept, blocks))


def _is_pipeline(entry: Entry) -> bool:
    return isinstance(entry.model, PipelineSpec)


def _loaded(entry: Entry) -> list[Component]:
    """Components in memory: an autoencoder's encoding half is not needed to generate."""
    parts = entry.components()
    if entry.kind == "vae":
        return list(parts)
    return [part for part in parts if part.role is not Role.VAE_ENCODE]


def _text_steps(entry: Entry, work: Work) -> Iterator[Step]:
    parts = entry.components()
    if entry.kind == "vae":
        side = work.width or 1024
        shape = PictureShape(
            width=side, height=work.height or side, batch=work.batch, frames=work.frames or 1
        )
        for part in parts:
            yield Step(name=part.label, repeats=1, component=part, shape=shape)
        return
    (part,) = parts
    prompt = TokenShape(
        tokens=work.input_tokens,
        context=work.input_tokens,
        batch=work.batch,
        logits=Logits.LAST,
        span=Span.SERVED,
    )
    if not isinstance(part.spec, DecoderSpec):
        yield Step(name="encode", repeats=1, component=part, shape=prompt)
        return
    yield Step(name="prefill", repeats=1, component=part, shape=prompt)
    if work.output_tokens > 1:  # prefill already makes the first token
        middle = work.input_tokens + (work.output_tokens + 1) // 2
        decode = TokenShape(
            tokens=1, context=middle, batch=work.batch, span=Span.SERVED, is_absorbed=True
        )
        yield Step(name="decode", repeats=work.output_tokens - 1, component=part, shape=decode)


def _pipeline_steps(entry: Entry, work: Work) -> Iterator[Step]:
    pipeline = entry.model
    assert isinstance(pipeline, PipelineSpec)
    copies = 2 if pipeline.is_guided else 1
    tokens = {encoder.name: encoder.tokens for encoder in pipeline.text_encoders}
    for part in entry.components():
        if part.role is Role.TEXT_ENCODER:
            num = tokens[part.name]
            text = TokenShape(tokens=num, context=num, batch=work.batch * copies)
            yield Step(name=part.label, repeats=1, component=part, shape=text)
        elif part.role is Role.DENOISER:
            shape = picture(pipeline, work, copies)
            repeats = work.steps or pipeline.steps
            yield Step(name="denoise", repeats=repeats, component=part, shape=shape)
        elif part.role is Role.VAE_DECODE:
            shape = picture(pipeline, work, 1)
            yield Step(name=part.label, repeats=1, component=part, shape=shape)


def picture(pipeline: PipelineSpec, work: Work, copies: int) -> PictureShape:
    return PictureShape(
        width=work.width or pipeline.width,
        height=work.height or pipeline.height,
        batch=work.batch * copies,
        text_tokens=pipeline.text_tokens,
        frames=work.frames or pipeline.frames,
    )


def _ledger(entry: Entry, planned: tuple[Step, ...], precision: Precision, work: Work) -> Ledger:
    if isinstance(entry.model, PipelineSpec):
        shape = picture(entry.model, work, 1)
        return image_ledger(entry.name, entry.model, _loaded(entry), shape, precision)
    if isinstance(entry.model, DecoderSpec):
        context = work.input_tokens + work.output_tokens
        return decoder_ledger(entry.name, planned[0].component, work.batch, context, precision)
    weights = sum(weight_bytes(part, precision) for part in _loaded(entry))
    peak = max(activation_bytes(step.component, step.shape) for step in planned)
    lines = (
        LedgerLine(owner=Owner.WEIGHTS, model=entry.name, part="", num_bytes=weights),
        LedgerLine(owner=Owner.ACTIVATIONS, model=entry.name, part="", num_bytes=peak),
    )
    return Ledger(lines=lines)


def _speed(phases: tuple[Phase, ...], work: Work, entry: Entry) -> dict[str, float]:
    by_name = {part.name: part for part in phases}
    if _is_pipeline(entry):
        whole = sum(part.total_seconds for part in phases)
        return {"s_per_image": whole / work.batch, "images_per_s": work.batch / whole}
    facts = {}
    if "prefill" in by_name:
        facts["ttft_s"] = by_name["prefill"].seconds
    if "decode" in by_name:
        facts["tpot_s"] = by_name["decode"].seconds
        facts["tokens_per_s"] = work.batch / by_name["decode"].seconds
    return facts


def _fits(
    entry: Entry, planned: tuple[Step, ...], precision: Precision, work: Work, budget: int
) -> dict[str, float]:
    model = entry.model
    if isinstance(model, DecoderSpec):
        part, context = planned[0].component, work.input_tokens + work.output_tokens
        fixed = decoder_ledger(entry.name, part, 1, context, precision).total_bytes()
        fixed -= kv_bytes(model, context, precision)
        each = kv_bytes(model, context, precision)
        return {
            "kv_bytes_per_token": kv_bytes_per_token(model, precision),
            "largest_batch": max(0, (budget - fixed) // each),
            "largest_context": largest(
                lambda tokens: fixed + work.batch * kv_bytes(model, tokens, precision) <= budget
            ),
        }
    if isinstance(model, PipelineSpec):
        one, two = (_image_bytes(entry, model, work, images, precision) for images in (1, 2))
        # latents and activations grow evenly with the images, weights not at all
        return {"concurrent_images": max(0, 1 + (budget - one) // (two - one))}
    return {}


def _image_bytes(
    entry: Entry, pipeline: PipelineSpec, work: Work, images: int, precision: Precision
) -> int:
    shape = picture(pipeline, replace(work, batch=images), 1)
    ledger = image_ledger(entry.name, pipeline, _loaded(entry), shape, precision)
    return ledger.total_bytes()
