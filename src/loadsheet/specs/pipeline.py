"""What a named model consists of: components, and for image generators the loop around them."""

from dataclasses import dataclass
from enum import StrEnum

from loadsheet.specs.spec import DenoiserSpec, ModelSpec, VaeSpec
from loadsheet.specs.vae import WanVaeSpec


class Role(StrEnum):
    DECODER = "decoder"
    ENCODER = "encoder"
    TEXT_ENCODER = "text_encoder"
    DENOISER = "denoiser"
    VAE_DECODE = "vae_decode"
    VAE_ENCODE = "vae_encode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A spec in its role. `factor` pixels per side, and `time_factor` frames, make one latent."""

    name: str
    role: Role
    spec: ModelSpec
    factor: int = 1
    time_factor: int = 1

    @property
    def label(self) -> str:
        """As `predict` names it: `denoiser`, or `text_encoder:clip-vit-l`."""
        return f"{self.role}:{self.name}" if self.role is Role.TEXT_ENCODER else str(self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoder:
    """`tokens` is the padded length that the pipeline runs it with."""

    name: str
    spec: ModelSpec
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec:
    """`is_guided` runs the denoiser twice per step (classifier-free guidance); distilled models
    take the guidance scale as an input instead. `text_tokens` reach the denoiser."""

    text_encoders: tuple[TextEncoder, ...]
    denoiser: DenoiserSpec
    vae: VaeSpec | None
    width: int
    height: int
    frames: int
    steps: int
    is_guided: bool
    text_tokens: int

    @property
    def factor(self) -> int:
        return self.vae.factor if self.vae else 1

    @property
    def time_factor(self) -> int:
        return self.vae.time_factor if isinstance(self.vae, WanVaeSpec) else 1
