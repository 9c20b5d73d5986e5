"""Two judges of adapted pictures, trained on real icons of all four styles.

`style` names the style; it learns from the concepts that adapters see and is marked on the
held-out ones. `concept` names what is drawn, in any style; it has seen every concept, and is marked
on variants (moved, zoomed) that it has not: it knows the icons and asks "is it this one?". Its
features are what distances are measured in.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadsheet.adapt.icon_classifier import (
    CONFIG_NAME,
    ClassifierConfig,
    IconClassifier,
    default_loop,
    shrunk,
    top_k_accuracy,
    train_classifier,
)
from loadsheet.adapt.style_art import StyleArt

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleJudgeConfig:
    """How the judges are trained; the style is easy, a thousand concepts are not."""

    style_steps: int = 300
    concept_steps: int = 1800
    classifier: ClassifierConfig = ClassifierConfig(widths=(24, 48, 96, 128))


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleJudges:
    """The judges and their marks on real icons they were not shown."""

    style: IconClassifier
    concept: IconClassifier
    style_accuracy: float
    style_recall: Mapping[str, float]
    concept_accuracy: float


def open_style_judges(
    arts: Sequence[StyleArt], folder: Path, config: StyleJudgeConfig
) -> StyleJudges:
    """The judges stored in `folder`, trained first where they are missing."""
    style = _trained(
        folder / "style", config.style_steps, config, _style_lesson(arts, unseen=False)
    )
    concept = _trained(
        folder / "concept", config.concept_steps, config, _concept_lesson(arts, unseen=False)
    )
    return StyleJudges(
        style=style,
        concept=concept,
        style_accuracy=_mark(style, _style_lesson(arts, unseen=True)),
        style_recall={
            art.style.key: _mark(style, _style_lesson([art], unseen=True)) for art in arts
        },
        concept_accuracy=_mark(concept, _concept_lesson(arts, unseen=True)),
    )


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Rows of each art and the label of each row."""

    arts: Sequence[StyleArt]
    rows: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]

    def images(self, size: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        parts = [
            shrunk(art.images[list(rows)], size)
            for art, rows in zip(self.arts, self.rows, strict=True)
            if rows
        ]
        return np.concatenate(parts)


def _style_lesson(arts: Sequence[StyleArt], *, unseen: bool) -> _Lesson:
    rows = tuple(tuple(art.rows(held_out=unseen)) for art in arts)
    labels = [art.style.key for art, own in zip(arts, rows, strict=True) for _ in own]
    return _Lesson(arts, rows, tuple(labels))


def _concept_lesson(arts: Sequence[StyleArt], *, unseen: bool) -> _Lesson:
    wanted = 1 if unseen else 0
    rows = tuple(tuple(p.image_idx for p in art.pictures if p.variant == wanted) for art in arts)
    labels = [
        art.pictures[row].concept.name for art, own in zip(arts, rows, strict=True) for row in own
    ]
    return _Lesson(arts, rows, tuple(labels))


def _trained(
    folder: Path, num_steps: int, config: StyleJudgeConfig, lesson: _Lesson
) -> IconClassifier:
    if (folder / CONFIG_NAME).exists():
        return IconClassifier.load(folder)
    labels = tuple(dict.fromkeys(lesson.labels))
    number = {label: idx for idx, label in enumerate(labels)}
    images = lesson.images(config.classifier.image_size)
    logger.info("train judge=%s images=%d labels=%d", folder.name, len(images), len(labels))
    judge = train_classifier(
        images,
        [number[label] for label in lesson.labels],
        labels,
        config.classifier,
        default_loop(num_steps),
        folder,
    )
    judge.save(folder)
    return judge


def _mark(judge: IconClassifier, lesson: _Lesson) -> float:
    """Share of the lesson's pictures that the judge names rightly."""
    probabilities_NL = judge.predict(lesson.images(judge.config.image_size))
    label_idx = [judge.labels.index(label) for label in lesson.labels]
    return float(top_k_accuracy(probabilities_NL, label_idx, 1).mean())
