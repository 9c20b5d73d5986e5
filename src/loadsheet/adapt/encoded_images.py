"""Captioned pictures as the denoiser sees them, encoded once: latents and conditioning.

The frozen halves of a pipeline (VAE encoder, text encoders) run here and not in the training loop.
Latents are posterior means. A caption's conditioning is kept in half precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from loadsheet.adapt.autoencoder import to_pixels
from loadsheet.adapt.captions import Caption
from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.pipeline import ImagePipeline

ENCODE_BATCH = 32
EMPTY_CAPTION = ""


class CaptionStates:
    """The conditioning of each distinct caption; number 0 is the empty one."""

    def __init__(self, number: dict[str, int], tensors: dict[str, Tensor]) -> None:
        self.number = number
        self.tensors = tensors

    @classmethod
    def encode(cls, pipeline: ImagePipeline, texts: Sequence[str]) -> "CaptionStates":
        """Run the pipeline's text encoders over every distinct text and the empty one."""
        distinct = list(dict.fromkeys((EMPTY_CAPTION, *texts)))
        width, height = pipeline.sizes[0]
        chunks = []
        for start in range(0, len(distinct), ENCODE_BATCH):
            chunk = tuple(distinct[start : start + ENCODE_BATCH])
            with torch.inference_mode():
                encoded = pipeline.encode(Prompts(texts=chunk, width=width, height=height))
            chunks.append({name: _half(tensor) for name, tensor in encoded.tensors.items()})
        tensors = {name: torch.cat([one[name] for one in chunks]) for name in chunks[0]}
        return cls({text: idx for idx, text in enumerate(distinct)}, tensors)

    def batch(self, caption_idx: Sequence[int]) -> Conditioning:
        """Rows of these captions, in float32 where they are no integers."""
        rows = list(caption_idx)
        return Conditioning(
            tensors={name: _whole(tensor[rows]) for name, tensor in self.tensors.items()}
        )

    def of(self, texts: Sequence[str]) -> Conditioning:
        """Rows of these captions, which must be among the encoded ones."""
        return self.batch([self.number[text] for text in texts])


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedImages:
    """Latents [N, C, h, w]; per picture the numbers and weights of its captions."""

    latents_NChw: Tensor
    states: CaptionStates
    caption_idx: tuple[Tensor, ...]
    caption_weights: tuple[Tensor, ...]
    weights_N: Tensor

    def save(self, path: Path) -> None:
        state = {
            "latents": self.latents_NChw,
            "number": self.states.number,
            "tensors": self.states.tensors,
            "caption_idx": list(self.caption_idx),
            "caption_weights": list(self.caption_weights),
            "weights": self.weights_N,
        }
        scratch = path.with_suffix(".tmp")
        torch.save(state, scratch)
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path) -> "EncodedImages":
        state = torch.load(path, weights_only=True)
        return cls(
            latents_NChw=state["latents"],
            states=CaptionStates(state["number"], state["tensors"]),
            caption_idx=tuple(state["caption_idx"]),
            caption_weights=tuple(state["caption_weights"]),
            weights_N=state["weights"],
        )

    def draw(
        self, count: int, empty_share: float, generator: torch.Generator
    ) -> tuple[Tensor, list[int]]:
        """`count` latents by weight and a caption number for each, some of them the empty one."""
        rows = torch.multinomial(self.weights_N, count, replacement=True, generator=generator)
        is_empty = torch.rand(count, generator=generator) < empty_share
        picks = [
            0 if empty else self._caption(row, generator)
            for row, empty in zip(rows.tolist(), is_empty.tolist(), strict=True)
        ]
        return self.latents_NChw[rows], picks

    def _caption(self, row: int, generator: torch.Generator) -> int:
        pick = torch.multinomial(self.caption_weights[row], 1, generator=generator).item()
        return int(self.caption_idx[row][int(pick)])


def encode_images(
    pipeline: ImagePipeline,
    images: npt.NDArray[np.uint8],
    captions: Sequence[Sequence[Caption]],
    weights_N: Tensor | None = None,
) -> EncodedImages:
    """Run VAE encoder and text encoders over everything; `weights_N` None draws all alike."""
    states = CaptionStates.encode(pipeline, [one.text for own in captions for one in own])
    return EncodedImages(
        latents_NChw=encode_latents(pipeline, images),
        states=states,
        caption_idx=tuple(torch.tensor([states.number[c.text] for c in own]) for own in captions),
        caption_weights=tuple(torch.tensor([c.weight for c in own]) for own in captions),
        weights_N=torch.ones(len(images)) if weights_N is None else weights_N,
    )


@torch.inference_mode()
def encode_latents(pipeline: ImagePipeline, images: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 [N, H, W, 3] → (posterior mean − shift) · scale, float32 [N, C, h, w]."""
    decoder = pipeline.decoder
    chunks = []
    for start in range(0, len(images), ENCODE_BATCH):
        x_BCHW = to_pixels(images[start : start + ENCODE_BATCH])
        x_BCHW = x_BCHW.to(pipeline.placement.device, pipeline.placement.dtype)
        mean_BChw = decoder.vae.encode(x_BCHW).latent_dist.mean.float()
        chunks.append(((mean_BChw - decoder.shift) * decoder.scale).cpu())
    return torch.cat(chunks).clone()


def _half(tensor: Tensor) -> Tensor:
    return tensor.half().cpu() if tensor.is_floating_point() else tensor.cpu()


def _whole(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
