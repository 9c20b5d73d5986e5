"""A tiny judge learns coloured shapes, is the same after saving, and moves pictures as it says."""

import numpy as np
import pytest
import torch

from loadsheet.adapt.icon_classifier import (
    ClassifierConfig,
    IconClassifier,
    augmented,
    default_loop,
    pixels,
    shrunk,
    top_k_accuracy,
    train_classifier,
)
from loadsheet.errors import AssetError, ConfigError

TINY = ClassifierConfig(image_size=16, widths=(8, 16), batch_size=12, max_noise=0.02)
STILL = ClassifierConfig(
    max_turn_degrees=0,
    max_shift=0,
    min_zoom=1,
    max_zoom=1,
    mirrored_share=0,
    blurred_share=0,
    max_tint=0,
    max_noise=0,
)


def square(color, left=4):
    image = np.full((16, 16, 3), 255, dtype=np.uint8)
    image[4:12, left : left + 8] = color
    return image


def disc(color):
    rows, columns = np.mgrid[:16, :16] - 7.5
    image = np.full((16, 16, 3), 255, dtype=np.uint8)
    image[rows**2 + columns**2 < 25] = color
    return image


IMAGES = np.stack([square((200, 30, 30)), square((30, 30, 200)), disc((30, 160, 30))])
LABELS = ("red square", "blue square", "green disc")


@pytest.fixture(scope="module")
def judge():
    return train_classifier(IMAGES, [0, 1, 2], LABELS, TINY, default_loop(60))


def test_it_learns_and_names_a_moved_drawing(judge):
    moved = np.stack([square((200, 30, 30), left=5), square((30, 30, 200), left=3)])
    probabilities = judge.predict(moved)
    assert probabilities.argmax(dim=1).tolist() == [0, 1]
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))


def test_pictures_of_any_size_are_shrunk_first(judge):
    large = IMAGES.repeat(3, axis=1).repeat(3, axis=2)
    torch.testing.assert_close(judge.features(large), judge.features(IMAGES))
    assert judge.features(IMAGES).shape == (3, TINY.widths[-1])
    assert judge.features(IMAGES[:0]).shape == (0, TINY.widths[-1])


def test_a_saved_judge_says_the_same(judge, tmp_path):
    judge.save(tmp_path)
    loaded = IconClassifier.load(tmp_path)
    assert loaded.labels == LABELS
    assert loaded.config == TINY
    torch.testing.assert_close(loaded.predict(IMAGES), judge.predict(IMAGES))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(AssetError, match=r"classifier\.json is missing"):
        IconClassifier.load(tmp_path)


def test_labels_must_be_distinct_and_match_the_images():
    with pytest.raises(ConfigError, match="2 or more distinct"):
        IconClassifier(["a", "a"], TINY)
    with pytest.raises(ConfigError, match="3 images but 2 labels"):
        train_classifier(IMAGES, [0, 1], LABELS, TINY, default_loop(1))


def test_top_k_counts_the_label_among_the_k_best():
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    assert top_k_accuracy(probabilities, [1, 0], 1).tolist() == [False, False]
    assert top_k_accuracy(probabilities, [1, 0], 2).tolist() == [True, False]
    assert top_k_accuracy(probabilities, [1, 0], 9).tolist() == [True, True]


def test_no_augmentation_leaves_pictures_alone():
    x = pixels(IMAGES)
    torch.testing.assert_close(augmented(x, torch.Generator(), STILL), x, atol=1e-5, rtol=0)


def test_augmentation_moves_over_white():
    config = ClassifierConfig(blurred_share=0, max_tint=0, max_noise=0)
    white = pixels(np.full((4, 16, 16, 3), 255, dtype=np.uint8))
    found = augmented(white, torch.Generator().manual_seed(0), config)
    torch.testing.assert_close(found, white)
    moved = augmented(pixels(IMAGES), torch.Generator().manual_seed(0), config)
    assert not torch.allclose(moved, pixels(IMAGES), atol=0.1)


def test_a_mirror_flips_left_and_right():
    config = ClassifierConfig(
        max_turn_degrees=0,
        max_shift=0,
        min_zoom=1,
        max_zoom=1,
        mirrored_share=1.1,
        blurred_share=0,
        max_tint=0,
        max_noise=0,
    )
    x = pixels(square((0, 0, 0), left=2)[None])
    torch.testing.assert_close(
        augmented(x, torch.Generator(), config), x.flip(-1), atol=1e-5, rtol=0
    )


def test_areas_are_averaged():
    checks = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    checks[:, ::2] = 100
    assert (shrunk(checks, 2) == 50).all()
