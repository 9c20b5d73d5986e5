"""Who learns from what: no judge is marked on a picture that it has seen."""

import pytest

from loadsheet.adapt.gallery import GalleryConfig, open_gallery
from loadsheet.adapt.icon_classifier import ClassifierConfig, default_loop
from loadsheet.adapt.judges import (
    HELD_OUT_VARIANT,
    concept_labels,
    is_for_training,
    is_held_out,
    mark,
    mark_on_real,
    open_judge,
)

TINY = ClassifierConfig(image_size=16, widths=(8, 16), batch_size=8, max_noise=0.02)


@pytest.fixture
def drawn(art_folder, tmp_path):
    return open_gallery(art_folder, tmp_path / "gallery", GalleryConfig(size=16))


@pytest.mark.parametrize("kind", ["drawings", "strangers"])
def test_seen_and_held_out_are_apart(drawn, kind):
    held_out = [p for p in drawn.pictures if is_held_out(kind, p)]
    assert held_out
    assert not any(is_for_training(kind, p) for p in held_out)
    assert all(p.style.is_default for p in held_out)


def test_drawings_miss_one_variant_and_strangers_the_default_look(drawn):
    seen = [p for p in drawn.pictures if is_for_training("drawings", p)]
    assert {p.variant for p in seen} == {0, 1, 2} - {HELD_OUT_VARIANT}
    assert {p.style.key for p in drawn.pictures if is_for_training("strangers", p)} == {
        "fluent-emoji-flat"
    }


def test_a_judge_is_trained_once_and_marked(drawn, tmp_path):
    judge = open_judge("drawings", drawn, tmp_path / "judge", TINY, default_loop(40))
    assert judge.labels == concept_labels(drawn) == ("pear", "key")
    found = mark_on_real("drawings", judge, drawn)
    assert (found.num_images, found.top1, found.top5) == (2, 1.0, 1.0)
    swapped = mark(judge, drawn.images[[0, 3]], [1, 0])
    assert (swapped.top1, swapped.top5) == (0.0, 1.0)  # two labels: both are among the first five
    again = open_judge("drawings", drawn, tmp_path / "judge", TINY, default_loop(99999))
    assert again.labels == judge.labels
