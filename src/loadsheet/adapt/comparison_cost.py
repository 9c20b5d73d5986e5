"""Exact counts behind the comparison, from the cost model and the default models' configurations.

FLOPs and bytes only: they follow from the architectures, need no device and no calibration. Bytes
are those of 16-bit weights and activations, each read or written once.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import loadsheet
from loadsheet.cost.components import operators
from loadsheet.cost.operator import Total, total
from loadsheet.cost.shape import PictureShape, Span, TokenShape
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.model_folder import read_entry
from loadsheet.specs.pipeline import Component, PipelineSpec

ENCODER = "all-minilm-l6-v2"
DECODER = "smollm2-135m"
IMAGE_FOLDER = Path(loadsheet.__file__).parent / "models" / "emoji"
TEXT_TOKENS = 32
PROMPT_TOKENS = 128
REPLY_TOKENS = 128
CACHE_CONTEXT = 512
CAPTION_TOKENS = 32
COMPANY = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonCost:
    """`classify`: one text of TEXT_TOKENS. `caption`: a picture's caption and the empty one.
    `denoise`: one step of one picture, both halves of guidance. `cached`, `uncached`: the next
    token after CACHE_CONTEXT - 1. `…_in_company`: of COMPANY sequences or pictures at once.
    `prompt`: PROMPT_TOKENS at once; `reply_flops`: REPLY_TOKENS after it, the first apart."""

    classify: Total
    caption: Total
    denoise: Total
    vae_decode: Total
    num_steps: int
    latent_positions: int
    cached: Total
    cached_in_company: Total
    denoise_in_company: Total
    uncached: Total
    prompt: Total
    reply_flops: int

    @property
    def image_flops(self) -> int:
        return self.image_flops_in(self.num_steps)

    def image_flops_in(self, num_steps: int) -> int:
        return self.caption.flops + num_steps * self.denoise.flops + self.vae_decode.flops


def comparison_cost() -> ComparisonCost:
    """Of MiniLM, SmolLM2-135M and the committed image model."""
    encoder = Catalog().component(ENCODER, "encoder")
    decoder = Catalog().component(DECODER, "decoder")
    image = read_entry(IMAGE_FOLDER, "emoji")
    pipeline = image.model
    assert isinstance(pipeline, PipelineSpec)
    picture = PictureShape(
        width=pipeline.width, height=pipeline.height, batch=2, text_tokens=CAPTION_TOKENS
    )
    together = replace(picture, batch=2 * COMPANY)
    one = PictureShape(width=pipeline.width, height=pipeline.height)
    return ComparisonCost(
        classify=_tokens(encoder, TEXT_TOKENS, TEXT_TOKENS),
        caption=_tokens(encoder, CAPTION_TOKENS, CAPTION_TOKENS, batch=2),
        denoise=total(operators(image.component("denoiser"), picture)),
        vae_decode=total(operators(image.component("vae_decode"), one)),
        num_steps=pipeline.steps,
        latent_positions=pipeline.width * pipeline.height // pipeline.factor**2,
        cached=_tokens(decoder, 1, CACHE_CONTEXT),
        cached_in_company=_tokens(decoder, 1, CACHE_CONTEXT, batch=COMPANY),
        denoise_in_company=total(operators(image.component("denoiser"), together)),
        uncached=_tokens(decoder, CACHE_CONTEXT, CACHE_CONTEXT),
        prompt=_tokens(decoder, PROMPT_TOKENS, PROMPT_TOKENS),
        reply_flops=sum(
            _tokens(decoder, 1, PROMPT_TOKENS + count).flops for count in range(1, REPLY_TOKENS)
        ),
    )


def _tokens(component: Component, tokens: int, context: int, batch: int = 1) -> Total:
    """With the pairs that serving kernels compute."""
    shape = TokenShape(tokens=tokens, context=context, batch=batch, span=Span.SERVED)
    return total(operators(component, shape))
