"""Closed forms: shifted and scaled clouds, a picture beside its copy."""

import numpy as np
import pytest
import torch

from loadsheet.adapt.feature_distance import frechet_distance, nearest_cosine, nearest_rmse
from loadsheet.errors import ConfigError


@pytest.fixture
def cloud():
    return torch.randn(400, 5, generator=torch.Generator().manual_seed(0))


def test_a_set_is_at_no_distance_from_itself(cloud):
    assert frechet_distance(cloud, cloud) == pytest.approx(0.0, abs=1e-6)


def test_a_shift_counts_by_its_square(cloud):
    assert frechet_distance(cloud, cloud + torch.tensor([3.0, 4, 0, 0, 0])) == pytest.approx(25.0)


def test_scaling_by_s_adds_trace_times_s_minus_1_squared(cloud):
    centred = cloud - cloud.mean(dim=0)
    trace = centred.var(dim=0).sum().item()
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * trace, rel=1e-5)


def test_it_is_symmetric(cloud):
    other = cloud[:, [1, 0, 2, 3, 4]] * torch.tensor([1.0, 2, 3, 1, 1])
    assert frechet_distance(cloud, other) == pytest.approx(frechet_distance(other, cloud))


def test_one_picture_has_no_covariance(cloud):
    with pytest.raises(ConfigError, match="2 or more"):
        frechet_distance(cloud[:1], cloud)


def test_nearest_cosine_ignores_length():
    found = nearest_cosine(torch.tensor([[2.0, 0.0], [0.0, -1.0]]), torch.eye(2))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]))


def test_nearest_rmse_is_in_grey_levels():
    known = np.stack([np.full((4, 4, 3), level, dtype=np.uint8) for level in (0, 100, 255)])
    distance, row = nearest_rmse(known[1:2] + 7, known, rows_at_once=1)
    assert distance.item() == pytest.approx(7.0, abs=0.01)
    assert row.item() == 1
