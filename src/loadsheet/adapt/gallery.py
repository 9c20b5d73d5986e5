"""Every picture the image model learns from, drawn once: images, what they show, in which style.

A picture is one concept in one style, moved and zoomed a little; each has several variants. The
whole set is a uint8 array on disk, so that encoding and training need not hold it in memory.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadsheet.adapt import art
from loadsheet.adapt.captions import STYLES, Style
from loadsheet.adapt.concepts import Concept, drawn_in, select
from loadsheet.adapt.icons import IconSet, ViewBox, render
from loadsheet.adapt.stage_progress import OnCount, nothing

logger = logging.getLogger(__name__)

ART_BY_STYLE = {
    "noto": art.NOTO,
    "fluent-emoji-flat": art.FLUENT_FLAT,
    "noto-v1": art.NOTO_V1,
}
FLIP_GROUPS = frozenset({"Animals & Nature", "Food & Drink"})
HELD_OUT_EVERY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryConfig:
    """How the art is drawn. Variant 0 of a picture is the drawing as it is."""

    size: int = 128
    num_variants: int = 3
    max_shift: float = 0.04
    min_zoom: float = 0.90
    max_zoom: float = 1.02
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What image number `image_idx` shows."""

    image_idx: int
    concept: Concept
    style: Style
    variant: int

    @property
    def is_held_out(self) -> bool:
        """One concept in twenty is kept from the autoencoder, to measure it on unseen drawings."""
        return sum(self.concept.character.encode()) % HELD_OUT_EVERY == 0


@dataclass(frozen=True, slots=True)
class Gallery:
    """`images`: uint8 [N, size, size, 3], memory-mapped; `pictures[i]` describes `images[i]`."""

    images: npt.NDArray[np.uint8]
    pictures: tuple[Picture, ...]


def load_concepts(art_folder: Path) -> list[Concept]:
    """The concepts to learn, from the two pinned caption tables."""
    names = art.read_json(art.fetch(art.EMOJI_NAMES, art_folder), "data-by-emoji.json")
    keywords = art.read_json(art.fetch(art.EMOJI_KEYWORDS, art_folder), "dist/emoji-en-US.json")
    return select(names, keywords)


def load_icon_sets(art_folder: Path) -> dict[str, IconSet]:
    """The icon set of each style."""
    return {
        style: IconSet(art.read_json(art.fetch(package, art_folder), "icons.json"))
        for style, package in ART_BY_STYLE.items()
    }


def list_pictures(
    concepts: list[Concept], icon_sets: Mapping[str, IconSet], num_variants: int
) -> tuple[Picture, ...]:
    """All pictures there are to draw, numbered."""
    triples = (
        (concept, style, variant)
        for style in STYLES
        for concept in concepts
        if drawn_in(concept, icon_sets[style.key])
        for variant in range(num_variants)
    )
    return tuple(
        Picture(image_idx=i, concept=concept, style=style, variant=variant)
        for i, (concept, style, variant) in enumerate(triples)
    )


def draw(picture: Picture, icons: IconSet, config: GalleryConfig) -> npt.NDArray[np.uint8]:
    """uint8 [size, size, 3]; a pure function of the picture and the config."""
    icon = icons.icon(picture.concept.slug)
    if picture.variant == 0:
        return render(icon, config.size)
    rng = np.random.default_rng([config.seed, picture.image_idx])
    image = render(icon, config.size, _moved(icon.view_box.square(), rng, config))
    if picture.concept.group in FLIP_GROUPS and picture.variant % 2 == 0:
        return np.ascontiguousarray(image[:, ::-1])
    return image


def open_gallery(
    art_folder: Path,
    folder: Path,
    config: GalleryConfig,
    num_concepts: int | None = None,
    on_drawn: OnCount = nothing,
) -> Gallery:
    """The gallery stored in `folder`, drawn first when it is missing or was drawn otherwise.

    `num_concepts` keeps only so many, those first that training shows most.
    """
    icon_sets = load_icon_sets(art_folder)
    concepts = load_concepts(art_folder)
    if num_concepts is not None:
        concepts = sorted(concepts, key=lambda concept: -concept.weight)[:num_concepts]
    pictures = list_pictures(concepts, icon_sets, config.num_variants)
    path, stamp_path = folder / "images.npy", folder / "gallery.json"
    stamp = json.dumps({"num_pictures": len(pictures), **asdict(config)})
    if not (stamp_path.exists() and stamp_path.read_text() == stamp):
        logger.info("draw pictures=%d size=%d", len(pictures), config.size)
        folder.mkdir(parents=True, exist_ok=True)
        drawings = _drawings(pictures, icon_sets, config)
        shape = (len(pictures), config.size, config.size, 3)
        _draw_all(path, drawings, shape, on_drawn)
        stamp_path.write_text(stamp)
    return Gallery(np.load(path, mmap_mode="r"), pictures)


def _drawings(
    pictures: tuple[Picture, ...], icon_sets: Mapping[str, IconSet], config: GalleryConfig
) -> Iterator[npt.NDArray[np.uint8]]:
    for picture in pictures:
        yield draw(picture, icon_sets[picture.style.key], config)


def _draw_all(
    path: Path,
    drawings: Iterator[npt.NDArray[np.uint8]],
    shape: tuple[int, ...],
    on_drawn: OnCount,
) -> None:
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for i, image in enumerate(drawings):
        images[i] = image
        on_drawn(i + 1, shape[0])
    images.flush()


def _moved(box: ViewBox, rng: np.random.Generator, config: GalleryConfig) -> ViewBox:
    shift_x, shift_y = rng.uniform(-config.max_shift, config.max_shift, size=2)
    return box.moved(shift_x, shift_y, rng.uniform(config.min_zoom, config.max_zoom))
