"""Emoji art in a new style, split by concept: what the adapter sees, and what it must guess.

Two styles that the base was never shown, both of Microsoft's Fluent emoji (MIT): high contrast,
black glyphs on white and far from anything the base draws, and the glossy one, whose shapes the
base knows from the flat variant and whose gradients it does not.

One concept in ten, chosen by a hash of its codepoints, is held out: the base knows it in its own
style and the adapter never sees it in the new one. Drawing it nevertheless is what shows that a
style was learnt and not a set of pictures.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from loadsheet.adapt import art
from loadsheet.adapt.captions import Caption, Style, captions
from loadsheet.adapt.concepts import Concept, drawn_in
from loadsheet.adapt.gallery import Picture, load_concepts
from loadsheet.adapt.icons import IconSet, render
from loadsheet.errors import ConfigError

# With the adapter on, any prompt draws its style: captions are those of a default look.
HIGH_CONTRAST = Style(
    key="fluent-emoji-high-contrast", word="high contrast", share=1.0, is_default=True
)
GLOSSY = Style(key="fluent-emoji", word="glossy", share=1.0, is_default=True)
BASE_STYLE = Style(key="noto", word="noto", share=1.0, is_default=True)
FLAT_STYLE = Style(key="fluent-emoji-flat", word="flat", share=1.0, is_default=True)

PACKAGES = {
    HIGH_CONTRAST.key: art.FLUENT_HIGH_CONTRAST,
    GLOSSY.key: art.FLUENT_GLOSSY,
    BASE_STYLE.key: art.NOTO,
    FLAT_STYLE.key: art.FLUENT_FLAT,
}
TARGET_STYLES = {style.key: style for style in (HIGH_CONTRAST, GLOSSY)}
HELD_OUT_EVERY = 10
NUM_VARIANTS = 2
"""The drawing as it is, and one moved a little."""
MAX_SHIFT, ZOOM = 0.05, (0.85, 1.0)


@dataclass(frozen=True, slots=True)
class StyleArt:
    """`images`: uint8 [N, S, S, 3]; `pictures[i]` says what image i shows."""

    style: Style
    images: npt.NDArray[np.uint8]
    pictures: tuple[Picture, ...]

    def rows(self, *, held_out: bool, variants: range = range(1)) -> list[int]:
        """Numbers of the pictures of held-out concepts, or of the others."""
        return [
            p.image_idx
            for p in self.pictures
            if is_held_out(p.concept) is held_out and p.variant in variants
        ]

    def captions(self, row: int) -> tuple[Caption, ...]:
        return tuple(captions(self.pictures[row].concept, self.style))


def is_held_out(concept: Concept) -> bool:
    """One concept in ten, by codepoint: the same ones in every style and every run."""
    return _hash(concept) % HELD_OUT_EVERY == 0


def find_style(key: str) -> Style:
    if key not in TARGET_STYLES:
        raise ConfigError(f"style is {key!r}; give {' or '.join(TARGET_STYLES)}")
    return TARGET_STYLES[key]


def open_style_art(style: Style, art_folder: Path, folder: Path, size: int) -> StyleArt:
    """The style's pictures, fetched and drawn the first time, then from `folder`."""
    icons = IconSet(art.read_json(art.fetch(PACKAGES[style.key], art_folder), "icons.json"))
    drawn = [concept for concept in load_concepts(art_folder) if drawn_in(concept, icons)]
    pairs = [(concept, variant) for concept in drawn for variant in range(NUM_VARIANTS)]
    pictures = tuple(
        Picture(image_idx=i, concept=concept, style=style, variant=variant)
        for i, (concept, variant) in enumerate(pairs)
    )
    path = folder / f"{style.key}-{size}-{len(pictures)}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = np.stack([image for concept in drawn for image in _draw(concept, icons, size)])
        scratch = path.with_suffix(".tmp.npy")
        np.save(scratch, images)
        scratch.replace(path)
    return StyleArt(style, np.load(path, mmap_mode="r"), pictures)


def _draw(concept: Concept, icons: IconSet, size: int) -> list[npt.NDArray[np.uint8]]:
    """The variants of one drawing. Pixels are moved, not the view box: resvg panics on some of the
    glossy drawings when their gradients leave the page."""
    image = render(icons.icon(concept.slug), size)
    rng = np.random.default_rng(_hash(concept))
    (shift_x, shift_y), zoom = rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2), rng.uniform(*ZOOM)
    margin = size * (1 - 1 / zoom) / 2
    placement = (1 / zoom, 0, margin - shift_x * size, 0, 1 / zoom, margin - shift_y * size)
    moved = Image.fromarray(image).transform(
        (size, size),
        Image.Transform.AFFINE,
        placement,
        Image.Resampling.BICUBIC,
        fillcolor=(255, 255, 255),
    )
    return [image, np.asarray(moved, dtype=np.uint8)]


def _hash(concept: Concept) -> int:
    """A number that depends on the codepoints alone."""
    return int.from_bytes(hashlib.sha256(concept.character.encode()).digest()[:8])
