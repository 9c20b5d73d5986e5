"""What one device offers the scheduler: cache blocks, latent bytes, queue bounds, lanes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLimits:
    """One text model. `num_blocks` blocks of `block_tokens` tokens hold its whole KV cache."""

    model: str
    num_blocks: int
    block_tokens: int = 16
    max_context_tokens: int = 8192
    max_num_seqs: int = 64
    max_waiting: int = 256
    max_chunk_tokens: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """A supported size in pixels and the bytes one request of it keeps between steps."""

    width: int
    height: int
    state_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """One image model. `budget_bytes` bounds the latents and conditioning of started images."""

    model: str
    sizes: tuple[ImageSize, ...]
    budget_bytes: int
    max_batch: int = 8
    max_steps: int = 100
    max_waiting: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLimits:
    text: tuple[TextLimits, ...] = ()
    images: tuple[ImageLimits, ...] = ()
    num_lanes: int = 1
