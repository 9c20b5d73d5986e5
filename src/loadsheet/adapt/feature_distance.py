"""Distances between sets of pictures: Frechet on features, and to the nearest of a set.

    d² = |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½)        (Heusel et al. 2017, eq. 6)

With Inception's features this is FID. With those of an icon classifier it is only *like* FID:
numbers compare within one judge and one number of pictures, and never with published ones.

Shapes: N, M pictures, D features.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from loadsheet.errors import ConfigError

Matrix = npt.NDArray[np.float64]


def frechet_distance(a_ND: Tensor, b_MD: Tensor) -> float:
    """d² between the normal distributions of two sets of features, 2 or more of each."""
    if min(len(a_ND), len(b_MD)) < 2:
        raise ConfigError(f"a covariance needs 2 or more pictures, got {len(a_ND)}, {len(b_MD)}")
    a, b = (x.double().numpy() for x in (a_ND, b_MD))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(axis=0) - b.mean(axis=0)
    root = _square_root(cov_a)
    # tr (C_a C_b)^½ = tr (C_a^½ C_b C_a^½)^½, and the latter is symmetric
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0.0, None)).sum()
    return float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)


def nearest_cosine(a_ND: Tensor, b_MD: Tensor) -> Tensor:
    """1 - cosine to the nearest of b, for each of a: [N], between 0 and 2."""
    a, b = functional.normalize(a_ND, dim=1), functional.normalize(b_MD, dim=1)
    return 1.0 - (a @ b.T).max(dim=1).values


def nearest_rmse(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], rows_at_once: int = 64
) -> tuple[Tensor, Tensor]:
    """Root mean squared difference to the nearest of b, 0 to 255, and which one that is: [N] each.

    Pictures are uint8 [N, H, W, 3] of one size.
    """
    flat_b = torch.from_numpy(np.array(b)).reshape(len(b), -1).float()
    found = []
    for start in range(0, len(a), rows_at_once):
        part = torch.from_numpy(np.array(a[start : start + rows_at_once]))
        found.append(torch.cdist(part.reshape(len(part), -1).float(), flat_b).min(dim=1))
    distance = torch.cat([one.values for one in found]) / flat_b.shape[1] ** 0.5
    return distance, torch.cat([one.indices for one in found])


def _square_root(covariance: Matrix) -> Matrix:
    values, vectors = np.linalg.eigh(covariance)
    root: Matrix = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return root
