"""Seconds of one step of an image pipeline: encode, denoise or decode a batch."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadsheet.cost.components import operators
from loadsheet.cost.operator import Operator
from loadsheet.cost.serving.offline_image import is_modulated, pass_seconds
from loadsheet.cost.serving.software import ImageSoftware
from loadsheet.cost.shape import Logits, PictureShape, TokenShape
from loadsheet.cost.step_shape import ImageShape, StepKind
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.precision import Precision, of

_ROLES = {
    StepKind.ENCODE: Role.TEXT_ENCODER,
    StepKind.DENOISE: Role.DENOISER,
    StepKind.VAE_DECODE: Role.VAE_DECODE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageModel:
    """A pipeline on a device; `dtype` is the denoiser's, encoders and VAE stay in 16 bits or
    more."""

    entry: Entry
    device: Device
    dtype: str
    software: ImageSoftware


def image_step_seconds(model: ImageModel, kind: StepKind, shape: ImageShape) -> float:
    """Every kernel of the step, and the host."""
    software, total_s = model.software, model.software.step_us * 1e-6
    for component, walked in passes(model.entry, model.dtype, kind, shape):
        total_s += pass_seconds(
            walked, model.device, software, is_modulated=is_modulated(component)
        )
    return total_s


def passes(
    entry: Entry, dtype: str, kind: StepKind, shape: ImageShape
) -> Iterator[tuple[Component, list[Operator]]]:
    """Each component that the step runs with its operators. The empty prompt of guidance is
    encoded once for all requests, so encoding counts one prompt per image."""
    if not isinstance(entry.model, PipelineSpec):
        raise ConfigError(f"{entry.name} is no image pipeline")
    if kind not in _ROLES:
        raise ConfigError(f"{entry.name} draws images; it runs no {kind} step")
    if shape.batch < 1:
        raise ConfigError(f"an image batch of {shape.batch}; it must be 1 or more")
    for component in entry.components():
        if component.role is _ROLES[kind]:
            yield component, _walk(entry.model, component, dtype, shape)


def _walk(
    pipeline: PipelineSpec, component: Component, dtype: str, shape: ImageShape
) -> list[Operator]:
    if component.role is Role.TEXT_ENCODER:
        tokens = next(e.tokens for e in pipeline.text_encoders if e.name == component.name)
        text = TokenShape(tokens=tokens, context=tokens, batch=shape.batch, logits=Logits.NONE)
        return operators(component, text, _wide(dtype))
    is_denoiser = component.role is Role.DENOISER
    is_doubled = is_denoiser and shape.is_guided and pipeline.is_guided
    picture = PictureShape(
        width=shape.width,
        height=shape.height,
        batch=shape.batch * (2 if is_doubled else 1),
        text_tokens=pipeline.text_tokens if is_denoiser else 0,
        frames=pipeline.frames,
    )
    return operators(component, picture, of(dtype) if is_denoiser else _wide(dtype))


def _wide(dtype: str) -> Precision:
    return of(dtype if dtype in ("bf16", "fp16", "fp32") else "fp16")
