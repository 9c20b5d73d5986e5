"""A text-to-image pipeline taken apart: the four things a step loop needs, and their numbers.

A layout (one per diffusers pipeline class) fills in the callables; engine and samplers never learn
which networks are behind them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.denoiser import UNetDenoiser
from loadsheet.engine.image.latent_decoder import LatentDecoder
from loadsheet.engine.image.scheduler_config import Sampling
from loadsheet.engine.torch_device import Placement

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePipeline:
    """`denoise` maps scaled x_t [B, C, h, w] and timesteps [B] to a float32 prediction."""

    placement: Placement
    encode: Callable[[Prompts], Conditioning]
    denoise: UNetDenoiser
    decoder: LatentDecoder
    sampling: Sampling
    sizes: tuple[Size, ...]  # the native size first
    default_num_steps: int
    default_guidance_scale: float
    weight_bytes: Mapping[str, int]  # by component

    @property
    def note(self) -> str:
        """What the user should know about how this folder is run; empty when nothing."""
        return self.sampling.note

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        factor = self.decoder.factor
        return self.decoder.latent_channels, height // factor, width // factor

    def unit_noise(self, seed: int, width: int, height: int) -> Tensor:
        """Standard normal [1, C, h, w]: drawn on the CPU, so every device gets the same picture."""
        generator = torch.Generator("cpu").manual_seed(seed)
        shape = (1, *self.latent_shape(width, height))
        return torch.randn(shape, generator=generator, dtype=torch.float32).to(
            self.placement.device
        )
