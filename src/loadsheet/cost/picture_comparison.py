"""Why images are made in latent space: one U-Net on pixels and on f8 latents, by resolution."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadsheet.cost.components import operators
from loadsheet.cost.memory import activation_bytes
from loadsheet.cost.operator import total
from loadsheet.cost.seconds import seconds
from loadsheet.cost.serving.software import image_software
from loadsheet.cost.shape import PictureShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.pipeline import Component, PipelineSpec, Role
from loadsheet.specs.unet import UNetSpec

SIDES = (256, 512, 1024, 2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceCost:
    """One denoise step of one picture, guidance off; `once_s` is what the autoencoder adds."""

    space: str
    side: int
    step_flops: int
    step_s: float
    peak_bytes: int
    once_flops: int
    once_s: float

    def image_s(self, steps: int) -> float:
        return steps * self.step_s + self.once_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceComparison:
    model: str
    device: str
    steps: int
    costs: tuple[SpaceCost, ...]

    def at(self, space: str, side: int) -> SpaceCost:
        return next(cost for cost in self.costs if (cost.space, cost.side) == (space, side))


def compare_spaces(entry: Entry, device: Device, sides: Sequence[int] = SIDES) -> SpaceComparison:
    """The entry's own U-Net, and the same network with three channels on every pixel."""
    pipeline = entry.model
    if not isinstance(pipeline, PipelineSpec) or not isinstance(pipeline.denoiser, UNetSpec):
        raise ConfigError(f"{entry.name} has no latent U-Net; use sd-1.5, sd-2.1 or sdxl")
    latent = entry.component(Role.DENOISER)
    decoder = entry.component(Role.VAE_DECODE)
    pixels = replace(
        latent, spec=replace(pipeline.denoiser, in_channels=3, out_channels=3), factor=1
    )
    costs = [
        _cost(space, denoiser, once, (side, pipeline.text_tokens), device)
        for side in sides
        for space, denoiser, once in (("latent", latent, decoder), ("pixel", pixels, None))
    ]
    return SpaceComparison(
        model=entry.name, device=device.name, steps=pipeline.steps, costs=tuple(costs)
    )


def sentences(comparison: SpaceComparison) -> list[str]:
    said = []
    for side in dict.fromkeys(cost.side for cost in comparison.costs):
        latent, pixel = comparison.at("latent", side), comparison.at("pixel", side)
        ratio = pixel.step_flops / latent.step_flops
        speedup = pixel.image_s(comparison.steps) / latent.image_s(comparison.steps)
        said.append(
            f"{side}x{side}: a step on pixels takes {ratio:,.0f} times the FLOPs of one on "
            f"latents; {comparison.steps} steps and the decoder together are {speedup:,.0f} "
            f"times faster in latent space."
        )
    return said


def _cost(
    space: str,
    denoiser: Component,
    once: Component | None,
    size: tuple[int, int],
    device: Device,
) -> SpaceCost:
    side, tokens = size
    shape = PictureShape(width=side, height=side, text_tokens=tokens)
    kernels = image_software("compiled").kernels
    walked = operators(denoiser, shape)
    after = operators(once, shape) if once else []
    return SpaceCost(
        space=space,
        side=side,
        step_flops=total(walked).flops,
        step_s=seconds(walked, device, kernels),
        peak_bytes=activation_bytes(denoiser, shape),
        once_flops=total(after).flops,
        once_s=seconds(after, device, kernels),
    )
