"""What prices one step of a device: how much text or how many images of which size.

The scheduler plans steps of these kinds and shapes, the cost model gives them seconds.
"""

from dataclasses import dataclass
from enum import StrEnum


class StepKind(StrEnum):
    TEXT = "text"  # decodes of one model, fused with chunks of prefill
    ENCODE = "encode"  # prompts of images → conditioning and first latents; texts → vectors
    DENOISE = "denoise"  # one sampler step for each image of the batch
    VAE_DECODE = "vae_decode"  # latents → pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """What prices a text step. Context counts tokens already in the KV cache."""

    num_decodes: int
    decode_context_tokens: int
    prefill_tokens: int
    prefill_context_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShape:
    """What prices an encode, denoise or VAE step. Guidance doubles the denoiser's batch.

    An adapter adds two small products to each module that it changes.
    """

    batch: int
    width: int
    height: int
    is_guided: bool
    has_adapter: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderShape:
    """What prices one pass of an encoder: `batch` texts, each padded to `tokens`."""

    batch: int
    tokens: int


StepShape = TextShape | ImageShape | EncoderShape
