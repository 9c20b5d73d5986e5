"""The two judges of the default image model: trained on real icons, marked on ones they never saw.

`drawings` has seen every style, but not the held-out variant of any drawing: it knows these icons
and asks "is it this one?". `strangers` has never seen the default look: it learnt the concepts from
the other styles and asks "is it recognisable at all?". Its mark on real icons of the default look
is the most that a generated one can be expected to reach.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from loadsheet.adapt.gallery import Gallery, Picture
from loadsheet.adapt.icon_classifier import (
    CONFIG_NAME,
    ClassifierConfig,
    IconClassifier,
    top_k_accuracy,
    train_classifier,
)
from loadsheet.adapt.loop import LoopConfig
from loadsheet.adapt.observer import TrainingObserver

logger = logging.getLogger(__name__)

JudgeKind = Literal["drawings", "strangers"]
HELD_OUT_VARIANT = 2
"""The variant that no judge sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How often a judge names the right concept first, or among its first five."""

    num_images: int
    top1: float
    top5: float


def concept_labels(gallery: Gallery) -> tuple[str, ...]:
    """The names of all concepts drawn in the default look, in gallery order."""
    names = (p.concept.name for p in gallery.pictures if p.style.is_default)
    return tuple(dict.fromkeys(names))


def is_for_training(kind: JudgeKind, picture: Picture) -> bool:
    """Whether this judge learns from this picture."""
    if kind == "strangers":
        return not picture.style.is_default
    return picture.variant != HELD_OUT_VARIANT


def is_held_out(kind: JudgeKind, picture: Picture) -> bool:
    """Whether this judge is marked on this picture: the default look, never seen as drawn here."""
    return picture.style.is_default and not is_for_training(kind, picture)


def open_judge(
    kind: JudgeKind,
    gallery: Gallery,
    folder: Path,
    config: ClassifierConfig,
    loop: LoopConfig,
    observer: TrainingObserver | None = None,
) -> IconClassifier:
    """The judge stored in `folder`, trained first when it is missing."""
    if (folder / CONFIG_NAME).exists():
        return IconClassifier.load(folder)
    labels = concept_labels(gallery)
    rows, label_idx = _labelled(gallery, labels, lambda p: is_for_training(kind, p))
    logger.info("train judge=%s images=%d labels=%d", kind, len(rows), len(labels))
    judge = train_classifier(
        gallery.images[rows], label_idx, labels, config, loop, folder, observer
    )
    judge.save(folder)
    return judge


def mark_on_real(kind: JudgeKind, judge: IconClassifier, gallery: Gallery) -> Mark:
    """The judge's accuracy on real icons of the default look that it has not seen."""
    rows, label_idx = _labelled(gallery, judge.labels, lambda p: is_held_out(kind, p))
    return mark(judge, gallery.images[rows], label_idx)


def mark(judge: IconClassifier, images: npt.NDArray[np.uint8], label_idx: list[int]) -> Mark:
    """Top-1 and top-5 accuracy; image i should show `judge.labels[label_idx[i]]`."""
    probabilities_NL = judge.predict(images)
    first, five = (top_k_accuracy(probabilities_NL, label_idx, k).mean() for k in (1, 5))
    return Mark(num_images=len(images), top1=float(first), top5=float(five))


def _labelled(
    gallery: Gallery, labels: tuple[str, ...], is_wanted: Callable[[Picture], bool]
) -> tuple[list[int], list[int]]:
    """Image rows of the wanted pictures whose concept has a label, and those labels' numbers."""
    number = {label: idx for idx, label in enumerate(labels)}
    wanted = [p for p in gallery.pictures if p.concept.name in number and is_wanted(p)]
    return [p.image_idx for p in wanted], [number[p.concept.name] for p in wanted]
