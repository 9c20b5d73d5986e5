"""FLOPs of the image model's parts, from the project's own cost model and the modules' configs."""

from collections.abc import Mapping
from dataclasses import dataclass

from diffusers import ModelMixin

from loadsheet.cost.components import operators
from loadsheet.cost.operator import total
from loadsheet.cost.shape import PictureShape
from loadsheet.specs.from_hf import from_hf
from loadsheet.specs.pipeline import Component, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCost:
    """FLOPs of one picture: a denoise step with both halves of guidance, and the decoder once."""

    step_flops: int
    decode_flops: int

    def image_flops(self, num_steps: int) -> int:
        return num_steps * self.step_flops + self.decode_flops


def denoiser_flops(denoiser: ModelMixin, side: int, factor: int, text_tokens: int) -> int:
    """One forward pass on one picture of side × side pixels, `factor` of them to a latent."""
    shape = PictureShape(width=side, height=side, text_tokens=text_tokens)
    return _flops(denoiser, Role.DENOISER, shape, factor)


def decode_flops(autoencoder: ModelMixin, side: int) -> int:
    """Latents of one picture to its pixels."""
    shape = PictureShape(width=side, height=side)
    return _flops(autoencoder, Role.VAE_DECODE, shape, 1)


def encode_flops(autoencoder: ModelMixin, side: int) -> int:
    """The pixels of one picture to its latents."""
    shape = PictureShape(width=side, height=side)
    return _flops(autoencoder, Role.VAE_ENCODE, shape, 1)


def _flops(module: ModelMixin, role: Role, shape: PictureShape, factor: int) -> int:
    config: Mapping[str, object] = dict(module.config)
    spec = from_hf({**config, "_class_name": type(module).__name__}, type(module).__name__)
    component = Component(name=type(module).__name__, role=role, spec=spec, factor=factor)
    return total(operators(component, shape)).flops
