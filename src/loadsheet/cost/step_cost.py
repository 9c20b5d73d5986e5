"""Seconds of any step that a scheduler can plan, for one model on one device.

    cost = step_cost(Catalog().find("llama-3.1-8b"), DeviceCatalog().find("h100-sxm"))
    cost.seconds(StepKind.TEXT, TextShape(num_decodes=8, decode_context_tokens=8000, …))

Kernels are priced once per batch size, length and picture size, on first use; what remains per
call is a look-up and an affine function, so that simulators and schedulers can ask for every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadsheet.cost.components import operators
from loadsheet.cost.serving.decode_curve import DecodeSegment
from loadsheet.cost.serving.image_step import ImageModel, image_step_seconds
from loadsheet.cost.serving.iteration_cost import IterationCost
from loadsheet.cost.serving.offline_image import pass_seconds
from loadsheet.cost.serving.software import (
    ImageSoftware,
    TextEngine,
    image_software,
    own_image_software,
    own_text_engine,
    text_engine,
)
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.cost.shape import Logits, TokenShape
from loadsheet.cost.step_shape import EncoderShape, ImageShape, StepKind, StepShape, TextShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec, GroupedAttention
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.precision import Precision
from loadsheet.specs.spec import EncoderSpec

_CONTEXTS = (1, 256, 1024, 4096, 16384, 65536, 262144)


class TextStepCost:
    """A decoder's iterations: decodes of any lengths fused with chunks of prompts.

    A step with several chunks is priced as one chunk of all their tokens after all their cached
    ones, which counts too much attention when several prompts share a step.
    """

    __slots__ = ("_iterations",)

    def __init__(self, model: TextModel, engine: TextEngine) -> None:
        contexts = _contexts(model.spec)
        self._iterations = IterationCost(model=model, engine=engine, contexts=contexts)

    def seconds(self, kind: StepKind, shape: StepShape) -> float:
        if not isinstance(shape, TextShape):
            raise ConfigError(f"a language model runs no {kind} step")
        if shape.prefill_tokens == 0 and shape.num_decodes:
            return self._iterations.decode.seconds(shape.num_decodes, shape.decode_context_tokens)
        batch = shape.num_decodes
        context = shape.decode_context_tokens / batch + 1 if batch else 0.0
        return self._iterations.mixed_s(
            batch, context, shape.prefill_tokens, shape.prefill_context_tokens
        )

    def decode_segment(self, batch: int, context_tokens: float = 0) -> DecodeSegment:
        """The affine piece that holds at a sum of `context_tokens` cached over the batch."""
        return self._iterations.decode.segment(batch, context_tokens)


class ImageStepCost:
    """A pipeline's encode, denoise and VAE steps, exact for every batch and size."""

    __slots__ = ("_model", "_priced")

    def __init__(self, model: ImageModel) -> None:
        self._model = model
        self._priced: dict[tuple[StepKind, ImageShape], float] = {}

    def seconds(self, kind: StepKind, shape: StepShape) -> float:
        if not isinstance(shape, ImageShape):
            raise ConfigError(f"an image model runs no {kind} step of tokens")
        key = (kind, shape)
        seconds = self._priced.get(key)
        if seconds is None:
            seconds = self._priced[key] = image_step_seconds(self._model, kind, shape)
        return seconds


class EncoderStepCost:
    """One pass of an encoder over padded texts, exact for every batch and length."""

    __slots__ = ("_component", "_device", "_precision", "_priced", "_software")

    def __init__(self, entry: Entry, device: Device, how: "Setup") -> None:
        (self._component,) = entry.components()
        self._device = device
        self._precision = how.precision
        self._software = image_software_on(device, how)
        self._priced: dict[EncoderShape, float] = {}

    def seconds(self, kind: StepKind, shape: StepShape) -> float:
        if kind is not StepKind.ENCODE or not isinstance(shape, EncoderShape):
            raise ConfigError(f"{self._component.name} encodes texts; it runs no {kind} step")
        if shape not in self._priced:
            texts = TokenShape(
                tokens=shape.tokens, context=shape.tokens, batch=shape.batch, logits=Logits.NONE
            )
            walked = operators(self._component, texts, self._precision)
            pass_s = pass_seconds(walked, self._device, self._software)
            self._priced[shape] = pass_s + self._software.step_us * 1e-6
        return self._priced[shape]


StepCost = TextStepCost | ImageStepCost | EncoderStepCost


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a model runs: number formats, `tp` devices for a language model, and the software that
    launches its kernels (`predict`'s engine names; image pipelines compiled or eager). On a machine
    that was calibrated it is always our own."""

    precision: Precision = field(default_factory=Precision)
    tp: int = 1
    engine: str = "vllm"
    is_compiled: bool = True


def step_cost(entry: Entry, device: Device, setup: Setup | None = None) -> StepCost:
    """Raises ConfigError for a model that is neither a decoder, an encoder nor a pipeline."""
    how = setup or Setup()
    if isinstance(entry.model, PipelineSpec):
        software = image_software_on(device, how)
        dtype = how.precision.weights
        return ImageStepCost(ImageModel(entry=entry, device=device, dtype=dtype, software=software))
    if isinstance(entry.model, EncoderSpec):
        return EncoderStepCost(entry, device, how)
    if not isinstance(entry.model, DecoderSpec):
        raise ConfigError(
            f"{entry.name} is a bare {entry.kind}; steps run decoders, encoders and pipelines"
        )
    (component,) = entry.components()
    model = TextModel(component=component, device=device, precision=how.precision, tp=how.tp)
    return TextStepCost(model, text_engine_on(device, how))


def decode_segment(
    spec: DecoderSpec,
    device: Device,
    batch: int,
    context_tokens: float = 0,
    setup: Setup | None = None,
) -> DecodeSegment:
    """`(tau0_s, kappa_s_per_token, valid_until)` of one decode iteration of `batch` sequences that
    hold `context_tokens` in the cache together. Priced afresh on every call: keep a `step_cost`
    for more than one."""
    how = setup or Setup()
    component = Component(name=spec.family, role=Role.DECODER, spec=spec)
    model = TextModel(component=component, device=device, precision=how.precision, tp=how.tp)
    return TextStepCost(model, text_engine_on(device, how)).decode_segment(batch, context_tokens)


class StepCosts:
    """Several models on one device by name: the `Prior` that a scheduler's step times start from,
    and all that a simulated executor needs."""

    __slots__ = ("_models",)

    def __init__(self, models: Mapping[str, StepCost]) -> None:
        self._models = dict(models)

    def __call__(self, kind: StepKind, model: str, shape: StepShape) -> float:
        if model not in self._models:
            raise ConfigError(f"no costs for model {model!r}, only for {', '.join(self._models)}")
        return self._models[model].seconds(kind, shape)


def text_engine_on(device: Device, how: Setup) -> TextEngine:
    """The engine asked for, or our own on a machine that was calibrated with it."""
    return own_text_engine(device.rates) if device.rates else text_engine(how.engine)


def image_software_on(device: Device, how: Setup) -> ImageSoftware:
    if device.rates:
        return own_image_software(device.rates)
    return image_software("compiled" if how.is_compiled else "eager")


def _contexts(spec: DecoderSpec) -> tuple[int, ...]:
    """Where decode is priced: powers of four, each window's end, and nothing beyond learned
    positions."""
    attentions = [group.attention for group in spec.layers]
    windows = [one.window for one in attentions if isinstance(one, GroupedAttention)]
    marks = {*_CONTEXTS, *(window for window in windows if window)}
    if spec.num_positions:
        marks = {mark for mark in marks if mark < spec.num_positions} | {spec.num_positions}
    return tuple(sorted(marks))
