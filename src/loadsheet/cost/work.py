"""One request as steps: a prompt and its reply, or text encoders, denoise steps and a decoder."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadsheet.cost.components import operators
from loadsheet.cost.memory import part_precision
from loadsheet.cost.operator import Operator
from loadsheet.cost.shape import Logits, PictureShape, Span, TokenShape
from loadsheet.errors import ConfigError
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.precision import Precision

_MOST = {  # far beyond anything served; larger numbers are typing errors
    "batch": 1_000_000,
    "input_tokens": 100_000_000,
    "output_tokens": 100_000_000,
    "width": 65_536,
    "height": 65_536,
    "frames": 100_000,
    "steps": 100_000,
}
_SIDE = 1024  # of a picture for an autoencoder alone


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
        sizes = {
            "batch": self.batch,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "steps": self.steps,
        }
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be 1 or more")
            if value is not None and value > _MOST[name]:
                raise ConfigError(f"{name} is {value:,}; more than {_MOST[name]:,} is no request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A phase before it is priced: `component` runs `repeats` times on `shape`."""

    name: str
    repeats: int
    component: Component
    shape: TokenShape | PictureShape
    precision: Precision


def steps(entry: Entry, work: Work, precision: Precision) -> tuple[Step, ...]:
    """Everything one request runs, in order."""
    if isinstance(entry.model, PipelineSpec):
        return tuple(_pipeline_steps(entry, entry.model, work, precision))
    if entry.kind == "vae":
        return tuple(_vae_steps(entry, work, precision))
    return tuple(_text_steps(entry, work, precision))


def walked(entry: Entry, work: Work, precision: Precision) -> Iterator[tuple[Step, list[Operator]]]:
    """Each step with its operators, for breakdowns finer than a phase."""
    for step in steps(entry, work, precision):
        yield step, operators(step.component, step.shape, step.precision)


def loaded(entry: Entry) -> list[Component]:
    """Components in memory: an autoencoder's encoding half is not needed to generate."""
    parts = entry.components()
    if entry.kind == "vae":
        return list(parts)
    return [part for part in parts if part.role is not Role.VAE_ENCODE]


def picture(pipeline: PipelineSpec, work: Work, copies: int = 1) -> PictureShape:
    """What the pipeline paints; `copies` 2 with both halves of guidance."""
    return PictureShape(
        width=work.width or pipeline.width,
        height=work.height or pipeline.height,
        batch=work.batch * copies,
        text_tokens=pipeline.text_tokens,
        frames=work.frames or pipeline.frames,
    )


def _vae_steps(entry: Entry, work: Work, precision: Precision) -> Iterator[Step]:
    shape = PictureShape(
        width=work.width or _SIDE,
        height=work.height or work.width or _SIDE,
        batch=work.batch,
        frames=work.frames or 1,
    )
    for part in entry.components():
        yield Step(name=part.label, repeats=1, component=part, shape=shape, precision=precision)


def _text_steps(entry: Entry, work: Work, precision: Precision) -> Iterator[Step]:
    (part,) = entry.components()
    prompt = TokenShape(
        tokens=work.input_tokens,
        context=work.input_tokens,
        batch=work.batch,
        logits=Logits.LAST,
        span=Span.SERVED,
    )
    is_decoder = isinstance(part.spec, DecoderSpec)
    first = "prefill" if is_decoder else "encode"
    yield Step(name=first, repeats=1, component=part, shape=prompt, precision=precision)
    if is_decoder and work.output_tokens > 1:  # prefill already makes the first token
        middle = work.input_tokens + (work.output_tokens + 1) // 2
        decode = TokenShape(
            tokens=1, context=middle, batch=work.batch, span=Span.SERVED, is_absorbed=True
        )
        yield Step(
            name="decode",
            repeats=work.output_tokens - 1,
            component=part,
            shape=decode,
            precision=precision,
        )


def _pipeline_steps(
    entry: Entry, pipeline: PipelineSpec, work: Work, precision: Precision
) -> Iterator[Step]:
    copies = 2 if pipeline.is_guided else 1
    tokens = {encoder.name: encoder.tokens for encoder in pipeline.text_encoders}
    for part in loaded(entry):
        name, repeats = part.label, 1
        shape: TokenShape | PictureShape = picture(pipeline, work)
        if part.role is Role.TEXT_ENCODER:
            num = tokens[part.name]
            shape = TokenShape(tokens=num, context=num, batch=work.batch * copies)
        elif part.role is Role.DENOISER:
            name, repeats = "denoise", work.steps or pipeline.steps
            shape = picture(pipeline, work, copies)
        yield Step(
            name=name,
            repeats=repeats,
            component=part,
            shape=shape,
            precision=part_precision(part, precision),
        )
