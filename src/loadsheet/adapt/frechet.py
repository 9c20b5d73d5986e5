"""Distances between sets of pictures, in a judge's features.

Fréchet distance of two Gaussians (Dowson & Landau 1982), as FID uses it (Heusel et al. 2017):

    |μ1 − μ2|² + tr(Σ1 + Σ2 − 2 (Σ1 Σ2)^½)

Our features are a small judge's and our sets hundreds of pictures, so the numbers compare only with
each other, at equal set sizes.
"""

import torch
from torch import Tensor

from loadsheet.errors import ConfigError


def frechet_distance(one_ND: Tensor, other_MD: Tensor) -> float:
    """Between the Gaussians of two sets of features; at least 2 rows each."""
    if min(len(one_ND), len(other_MD)) < 2:
        raise ConfigError(f"{len(one_ND)} and {len(other_MD)} pictures; a spread needs 2 or more")
    one_ND, other_MD = one_ND.double(), other_MD.double()
    mean_gap = (one_ND.mean(dim=0) - other_MD.mean(dim=0)).square().sum()
    cov_one, cov_other = torch.cov(one_ND.T), torch.cov(other_MD.T)
    # tr (AB)^½ = the sum of singular values of A^½ B^½, real and stable for covariances
    overlap = torch.linalg.svdvals(_root(cov_one) @ _root(cov_other)).sum()
    distance = mean_gap + cov_one.trace() + cov_other.trace() - 2 * overlap
    return max(0.0, float(distance))


def mean_pairwise_distance(features_ND: Tensor) -> float:
    """Mean Euclidean distance over all pairs of rows: how much pictures of one prompt differ."""
    if len(features_ND) < 2:
        raise ConfigError("diversity needs 2 or more pictures of a prompt")
    return float(torch.pdist(features_ND.double()).mean())


def _root(matrix_DD: Tensor) -> Tensor:
    """The symmetric square root; tiny negative eigenvalues are rounding."""
    values_D, vectors_DD = torch.linalg.eigh(matrix_DD)
    root_DD: Tensor = vectors_DD @ torch.diag(values_D.clamp(min=0).sqrt()) @ vectors_DD.T
    return root_DD
