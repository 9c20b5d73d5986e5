"""What a style teaches a given base: its seen pictures, encoded once and kept.

Encoding is a third of a short run's time and the same for every method, so it lies in the cache
folder under a hash of everything it depends on: the base's frozen halves, the pictures, the words.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from loadsheet.adapt.captions import Caption
from loadsheet.adapt.encoded_images import EncodedImages, encode_images
from loadsheet.adapt.style_art import StyleArt
from loadsheet.engine.image.pipeline import ImagePipeline

NUM_CAPTIONS = 3
"""Phrasings kept of each picture, the heaviest ones."""

FROZEN = ("vae", "text_encoder", "text_encoder_2")


def style_lesson(
    pipeline: ImagePipeline, base_folder: Path, art: StyleArt, cache_folder: Path
) -> EncodedImages:
    """The drawings of all concepts that are not held out; common concepts weigh more."""
    rows = art.rows(held_out=False)
    weights = torch.tensor([art.pictures[row].concept.weight for row in rows], dtype=torch.float64)
    return _encoded(pipeline, base_folder, art, rows, weights, cache_folder)


def base_probe(
    pipeline: ImagePipeline, base_folder: Path, art: StyleArt, cache_folder: Path, count: int = 128
) -> EncodedImages:
    """Common drawings in the base's own style, to measure what it forgets."""
    rows = art.rows(held_out=False)
    rows.sort(key=lambda row: (-art.pictures[row].concept.weight, row))
    kept = rows[:count]
    return _encoded(pipeline, base_folder, art, kept, torch.ones(len(kept)), cache_folder)


def _encoded(
    pipeline: ImagePipeline,
    base_folder: Path,
    art: StyleArt,
    rows: Sequence[int],
    weights_N: torch.Tensor,
    cache_folder: Path,
) -> EncodedImages:
    captions = [_heaviest(art.captions(row)) for row in rows]
    images = np.asarray(art.images[list(rows)])
    path = cache_folder / f"encoded-{_key(base_folder, images, captions)}.pt"
    if path.exists():
        return replace(EncodedImages.load(path), weights_N=weights_N)
    encoded = encode_images(pipeline, images, captions, weights_N)
    cache_folder.mkdir(parents=True, exist_ok=True)
    encoded.save(path)
    return encoded


def _heaviest(captions: Sequence[Caption]) -> list[Caption]:
    return sorted(captions, key=lambda caption: -caption.weight)[:NUM_CAPTIONS]


def _key(
    base_folder: Path,
    images: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]",
    captions: Sequence[Sequence[Caption]],
) -> str:
    digest = hashlib.sha256(images.tobytes())
    digest.update(repr([[(c.text, c.weight) for c in own] for own in captions]).encode())
    for part in FROZEN:
        for file in sorted((base_folder / part).glob("*.safetensors")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
