"""Seconds of one batch through a whole image pipeline: encoders, denoise steps, VAE.

A compiled pipeline takes the sum of its kernels. An eager one is as slow as the slower of device
and host, pass by pass: the host issues every operator, which decides for small models and batches.
"""

from dataclasses import dataclass, replace

from loadsheet.cost.components import operators
from loadsheet.cost.kernel.operator_time import Software, operator_seconds
from loadsheet.cost.operator import Operator
from loadsheet.cost.serving.software import ImageSoftware, image_software
from loadsheet.cost.shape import Logits, PictureShape, TokenShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.precision import of
from loadsheet.specs.unet import PixelUNetSpec, UNetSpec

_BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJob:
    """`batch` None takes the size of highest throughput."""

    entry: Entry
    device: Device
    width: int
    height: int
    steps: int
    is_guided: bool
    dtype: str = "bf16"
    batch: int | None = None
    is_compiled: bool = False
    num_devices: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.entry.model, PipelineSpec):
            raise ConfigError(f"{self.entry.name} is no image pipeline")
        for name, value in (("steps", self.steps), ("num_devices", self.num_devices)):
            if value < 1:
                raise ConfigError(f"{name} is {value}; it must be 1 or more")
        if self.batch is not None and self.batch < 1:
            raise ConfigError(f"batch is {self.batch}; it must be 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRate:
    """Of all devices together, each working on its own batches."""

    images_per_s: float
    latency_s: float
    batch: int


def offline_image(job: ImageJob) -> ImageRate:
    sizes = _BATCHES if job.batch is None else (job.batch,)
    rates = []
    for batch in sizes:
        latency_s = batch_seconds(job, batch)
        rate = job.num_devices * batch / latency_s
        rates.append(ImageRate(images_per_s=rate, latency_s=latency_s, batch=batch))
    return max(rates, key=lambda rate: rate.images_per_s)


def batch_seconds(job: ImageJob, batch: int) -> float:
    """Encoding, every step and decoding of `batch` images."""
    software = image_software("compiled" if job.is_compiled else "eager")
    pipeline = job.entry.model
    assert isinstance(pipeline, PipelineSpec)
    total_s = 0.0
    for component in job.entry.components():
        if component.role is Role.VAE_ENCODE:
            continue
        passes = job.steps if component.role is Role.DENOISER else 1
        walked = _walk(job, pipeline, component, batch)
        once_s = pass_seconds(walked, job.device, software, is_modulated=is_modulated(component))
        if component.role is Role.DENOISER:
            once_s += software.step_us * 1e-6
        total_s += passes * once_s
    return total_s


def pass_seconds(
    walked: list[Operator], device: Device, software: ImageSoftware, *, is_modulated: bool = False
) -> float:
    """One run of a component. `is_modulated` for transformer denoisers."""
    kernels = pass_kernels(software, is_modulated=is_modulated)
    device_s = sum(op.count * operator_seconds(op, device, kernels) for op in walked)
    return max(device_s, issue_seconds(walked, software))


def is_modulated(component: Component) -> bool:
    """A transformer denoiser scales and shifts its activations by the timestep."""
    return component.role is Role.DENOISER and not isinstance(
        component.spec, UNetSpec | PixelUNetSpec
    )


def pass_kernels(software: ImageSoftware, *, is_modulated: bool) -> Software:
    """How the pipeline launches the kernels of one pass."""
    if not is_modulated:
        return software.kernels
    return replace(software.kernels, fused_share=software.modulation_share)


def issue_seconds(walked: list[Operator], software: ImageSoftware) -> float:
    """Host time to launch every operator of one pass, one by one."""
    return sum(op.count for op in walked if op.num_bytes) * software.host_us * 1e-6


def _walk(
    job: ImageJob, pipeline: PipelineSpec, component: Component, batch: int
) -> list[Operator]:
    copies = batch * (2 if job.is_guided else 1)
    if component.role is Role.TEXT_ENCODER:
        tokens = next(e.tokens for e in pipeline.text_encoders if e.name == component.name)
        text = TokenShape(tokens=tokens, context=tokens, batch=copies, logits=Logits.NONE)
        return operators(component, text, of(_wide(job.dtype)))
    is_denoiser = component.role is Role.DENOISER
    shape = PictureShape(
        width=job.width,
        height=job.height,
        batch=copies if is_denoiser else batch,
        text_tokens=pipeline.text_tokens if is_denoiser else 0,
    )
    precision = of(job.dtype) if is_denoiser else of(_wide(job.dtype))
    return operators(component, shape, precision)


def _wide(dtype: str) -> str:
    """Encoders and VAE stay in 16 bits beside an 8-bit denoiser."""
    return dtype if dtype in ("bf16", "fp16", "fp32") else "fp16"
