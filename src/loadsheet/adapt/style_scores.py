"""How well a pipeline draws a style: one set of numbers for every method of adaptation.

style score        share of pictures that the style judge takes for the style
concept accuracy   share whose concept the concept judge names; seen and held-out concepts
FID-like           Fréchet distance to the real icons of the same concepts
diversity          mean distance between pictures of one prompt under several seeds
forgetting         relative rise of the denoising loss on base data, same noise, before → after
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadsheet.adapt.captions import article
from loadsheet.adapt.concepts import Concept
from loadsheet.adapt.frechet import frechet_distance, mean_pairwise_distance
from loadsheet.adapt.icon_classifier import IconClassifier, top_k_accuracy
from loadsheet.adapt.picture_batch import PictureRequest, draw_pictures
from loadsheet.adapt.style_art import StyleArt
from loadsheet.adapt.style_judges import StyleJudges
from loadsheet.engine.image.pipeline import ImagePipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig:
    """How many pictures are drawn; the most common concepts come first."""

    num_seen: int = 32
    num_held_out: int = 32
    num_diverse: int = 6
    seeds_per_prompt: int = 4
    steps_to_try: tuple[int, ...] = (2, 5, 10)
    num_at_each: int = 24
    seed: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleScores:
    """Everything but forgetting. Shares and accuracies from 0 to 1.

    `quality_by_num_steps` rows: denoise steps, style score, FID-like distance.
    """

    style_score: float
    style_score_held_out: float
    concept_accuracy: float
    concept_accuracy_held_out: float
    concept_top5: float
    concept_top5_held_out: float
    fid_like: float
    diversity: float
    saturation: float
    quality_by_num_steps: tuple[tuple[int, float, float], ...]
    ms_per_image: float


@dataclass(frozen=True, slots=True)
class Painter:
    """A pipeline wearing an adapter or none, and how it is asked."""

    pipeline: ImagePipeline
    adapter: str | None = None

    def paint(
        self, concepts: Sequence[Concept], num_steps: int, seeds: Sequence[int]
    ) -> npt.NDArray[np.uint8]:
        """One picture per concept and seed, asked for as a user would ask."""
        request = PictureRequest(
            texts=tuple(prompt(concept) for concept in concepts),
            seeds=tuple(seeds),
            num_steps=num_steps,
            guidance_scale=self.pipeline.default_guidance_scale,
        )
        return draw_pictures(self.pipeline, request, self.adapter)


def prompt(concept: Concept) -> str:
    """ "a red apple": no word about the style."""
    return f"{article(concept.simple_name)} {concept.simple_name}"


def score_style(
    painter: Painter, art: StyleArt, judges: StyleJudges, config: ScoreConfig
) -> StyleScores:
    """Draw and judge; the pictures of a concept are the same whatever else is asked."""
    seen = _common(art, held_out=False)[: config.num_seen]
    unseen = _common(art, held_out=True)[: config.num_held_out]
    rows, num_steps = [*seen, *unseen], painter.pipeline.default_num_steps
    concepts = [art.pictures[row].concept for row in rows]
    started_s = time.perf_counter()
    images = painter.paint(concepts, num_steps, _seeds(config, len(rows)))
    ms_per_image = 1e3 * (time.perf_counter() - started_s) / len(rows)
    style_hits = _style_hits(judges.style, images, art.style.key)
    first, five = (_concept_hits(judges.concept, images, concepts, k) for k in (1, 5))
    cut = len(seen)
    return StyleScores(
        style_score=float(style_hits[:cut].mean()),
        style_score_held_out=float(style_hits[cut:].mean()),
        concept_accuracy=float(first[:cut].mean()),
        concept_accuracy_held_out=float(first[cut:].mean()),
        concept_top5=float(five[:cut].mean()),
        concept_top5_held_out=float(five[cut:].mean()),
        fid_like=_distance(judges.concept, images, art.images[rows]),
        diversity=_diversity(painter, art, judges.concept, config),
        saturation=saturation(images),
        quality_by_num_steps=_quality_by_num_steps(painter, art, judges, images, config),
        ms_per_image=ms_per_image,
    )


def saturation(images: npt.NDArray[np.uint8]) -> float:
    """Mean of (max − min) over channels, 0 to 1: 0 for black glyphs on white."""
    return float((images.max(axis=-1).astype(int) - images.min(axis=-1)).mean() / 255)


def _quality_by_num_steps(
    painter: Painter,
    art: StyleArt,
    judges: StyleJudges,
    at_default: npt.NDArray[np.uint8],
    config: ScoreConfig,
) -> tuple[tuple[int, float, float], ...]:
    """The same first pictures at other numbers of steps; the default's are drawn already."""
    rows = _common(art, held_out=False)[: min(config.num_at_each, config.num_seen)]
    concepts = [art.pictures[row].concept for row in rows]
    drawn = {painter.pipeline.default_num_steps: at_default[: len(rows)]}
    for num_steps in config.steps_to_try:
        drawn[num_steps] = painter.paint(concepts, num_steps, _seeds(config, len(rows)))
    return tuple(
        (
            num_steps,
            float(_style_hits(judges.style, images, art.style.key).mean()),
            _distance(judges.concept, images, art.images[rows]),
        )
        for num_steps, images in sorted(drawn.items())
    )


def _diversity(
    painter: Painter, art: StyleArt, judge: IconClassifier, config: ScoreConfig
) -> float:
    rows = _common(art, held_out=False)[: config.num_diverse]
    concepts = [art.pictures[row].concept for row in rows for _ in range(config.seeds_per_prompt)]
    images = painter.paint(
        concepts, painter.pipeline.default_num_steps, _seeds(config, len(concepts))
    )
    groups = judge.features(images).split(config.seeds_per_prompt)
    return float(np.mean([mean_pairwise_distance(group) for group in groups]))


def _common(art: StyleArt, *, held_out: bool) -> list[int]:
    """Rows by falling weight of the concept, ties in table order."""
    rows = art.rows(held_out=held_out)
    return sorted(rows, key=lambda row: (-art.pictures[row].concept.weight, row))


def _seeds(config: ScoreConfig, count: int) -> list[int]:
    return list(range(config.seed, config.seed + count))


def _style_hits(
    judge: IconClassifier, images: npt.NDArray[np.uint8], key: str
) -> npt.NDArray[np.bool_]:
    label_idx = [judge.labels.index(key)] * len(images)
    return top_k_accuracy(judge.predict(images), label_idx, 1)


def _concept_hits(
    judge: IconClassifier, images: npt.NDArray[np.uint8], concepts: Sequence[Concept], k: int
) -> npt.NDArray[np.bool_]:
    label_idx = [judge.labels.index(concept.name) for concept in concepts]
    return top_k_accuracy(judge.predict(images), label_idx, k)


def _distance(
    judge: IconClassifier, images: npt.NDArray[np.uint8], real: npt.NDArray[np.uint8]
) -> float:
    return frechet_distance(judge.features(images), judge.features(np.asarray(real)))
