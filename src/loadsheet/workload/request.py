"""A request as the scheduler sees it: sizes, times and promises, never prompts or pixels.

What to compute (token ids, prompts, seeds) travels beside it as a `runtime.payload`, so that the
same request runs on a real engine, in the simulator and in a replay.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from loadsheet.workload.slo import EncodeSLO, ImageSLO, TextSLO


class RequestKind(StrEnum):
    TEXT = "text"
    IMAGE = "image"
    EMBED = "embed"
    CLASSIFY = "classify"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """A prompt to prefill, then up to `max_output_tokens` tokens, one per iteration."""

    kind: ClassVar[RequestKind] = RequestKind.TEXT
    request_id: str
    model: str
    arrival_s: float
    prompt_tokens: int
    max_output_tokens: int
    slo: TextSLO = TextSLO()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """A text encoding, then `num_steps` denoise steps, then a VAE decode.

    `is_guided` means classifier-free guidance: each denoise step runs a conditional and an
    unconditional branch. `adapter` names the low-rank weights that the model wears for it.
    """

    kind: ClassVar[RequestKind] = RequestKind.IMAGE
    request_id: str
    model: str
    arrival_s: float
    width: int
    height: int
    num_steps: int
    is_guided: bool
    adapter: str | None = None
    slo: ImageSLO = ImageSLO()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeRequest:
    """One pass of an encoder over `num_tokens`: for an embedding or for a label, by `kind`."""

    kind: RequestKind = RequestKind.EMBED
    request_id: str
    model: str
    arrival_s: float
    num_tokens: int
    slo: EncodeSLO = EncodeSLO()


Request = TextRequest | ImageRequest | EncodeRequest
