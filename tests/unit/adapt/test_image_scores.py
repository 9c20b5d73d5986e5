"""Neighbours and spread by hand."""

import numpy as np
import pytest
import torch

from loadsheet.adapt.icon_classifier import ClassifierConfig, IconClassifier
from loadsheet.adapt.image_scores import (
    KnownPictures,
    nearest_cosine,
    nearest_rmse,
    neighbours,
    spread,
)


def test_nearest_cosine_ignores_length():
    found = nearest_cosine(torch.tensor([[2.0, 0.0], [0.0, -1.0]]), torch.eye(2))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]))


def test_nearest_rmse_is_in_grey_levels():
    known = np.stack([np.full((4, 4, 3), level, dtype=np.uint8) for level in (0, 100, 255)])
    distance, row = nearest_rmse(known[1:2] + 7, known, rows_at_once=1)
    assert distance.item() == pytest.approx(7.0, abs=0.01)
    assert row.item() == 1


def grey(*levels):
    return np.stack([np.full((32, 32, 3), level, dtype=np.uint8) for level in levels])


def test_neighbours_say_how_near_and_whose():
    torch.manual_seed(0)
    judge = IconClassifier(["dark", "light"], ClassifierConfig(image_size=32, widths=(4, 8))).eval()
    known = KnownPictures.of(grey(10, 200), ["dark", "light"], judge)
    found = neighbours(grey(16, 12, 190), ["dark", "light", "light"], known, judge)
    assert found.rmse == pytest.approx(6.0, abs=0.01)  # of 6, 2 and 10
    assert found.rmse_5_percent == pytest.approx(2.4, abs=0.01)
    assert found.same_concept == pytest.approx(2 / 3)
    copies = neighbours(grey(10, 200), ["dark", "light"], known, judge)
    assert copies.rmse == pytest.approx(0.0, abs=0.05)
    assert copies.cosine == pytest.approx(0.0, abs=1e-5)


def test_spread_is_zero_for_copies_and_one_for_right_angles():
    copies = torch.tensor([[[1.0, 1.0], [2.0, 2.0]]])
    assert spread(copies) == pytest.approx(0.0, abs=1e-6)
    assert spread(torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])) == pytest.approx(1.0)
