"""Fréchet distance against its closed form, and diversity."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loadsheet.adapt.frechet import frechet_distance, mean_pairwise_distance
from loadsheet.errors import ConfigError


def gaussian(mean: float, std: float, seed: int) -> torch.Tensor:
    return mean + std * torch.randn(20_000, 3, generator=torch.Generator().manual_seed(seed))


def test_a_set_is_at_no_distance_from_itself() -> None:
    assert frechet_distance(gaussian(0, 1, 1), gaussian(0, 1, 1)) == pytest.approx(0, abs=1e-6)


def test_two_isotropic_gaussians() -> None:
    # 3 · ((2 − 0)² + (3 − 1)²)
    assert frechet_distance(gaussian(0, 1, 1), gaussian(2, 3, 2)) == pytest.approx(24, rel=0.02)


@given(seed=st.integers(0, 1000))
def test_it_is_symmetric_and_not_negative(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    one, other = torch.randn(2, 7, 4, generator=generator)
    there, back = frechet_distance(one, other), frechet_distance(other, one)
    assert there >= 0
    assert there == pytest.approx(back, rel=1e-6, abs=1e-6)


def test_fewer_rows_than_features() -> None:
    one, other = torch.zeros(2, 8), torch.ones(2, 8)
    assert frechet_distance(one, other) == pytest.approx(8)


def test_diversity_is_the_mean_over_pairs() -> None:
    # a right triangle of sides 3, 4, 5
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert mean_pairwise_distance(corners) == pytest.approx(4)


def test_one_picture_has_no_spread() -> None:
    with pytest.raises(ConfigError, match="2 or more"):
        mean_pairwise_distance(torch.zeros(1, 3))
    with pytest.raises(ConfigError, match="1 and 3 pictures"):
        frechet_distance(torch.zeros(1, 2), torch.zeros(3, 2))
