"""What a set of generated pictures is worth beside real ones: marks, neighbours, spread.

Memorisation shows in the neighbours. A generated picture that lies as close to the training set as
a picture of it moved by a pixel or two is a copy; one that lies as far as another concept's drawing
is not.

Shapes: N, M pictures, K seeds of one prompt, D features.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from loadsheet.adapt.icon_classifier import IconClassifier, shrunk

NEIGHBOUR_SIDE = 32
"""Pixel distances are taken between pictures of this side: detail and slight shifts count less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPictures:
    """What a generator was trained on: pixels at NEIGHBOUR_SIDE, features, and what they show."""

    small: npt.NDArray[np.uint8]
    features: Tensor
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, images: npt.NDArray[np.uint8], names: Sequence[str], judge: IconClassifier
    ) -> "KnownPictures":
        return cls(
            small=shrunk(images, NEIGHBOUR_SIDE),
            features=judge.features(images),
            names=tuple(names),
        )

    def without(self, names: Collection[str]) -> "KnownPictures":
        """All but those that show one of `names`."""
        is_kept = np.array([name not in names for name in self.names])
        return KnownPictures(
            small=self.small[is_kept],
            features=self.features[torch.from_numpy(is_kept)],
            names=tuple(name for name in self.names if name not in names),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Medians over pictures of the distance to the nearest known one, and how often that one
    shows the same concept. RMSE in grey levels (0 to 255) at 32×32; cosine distance 0 to 2."""

    rmse: float
    rmse_5_percent: float
    cosine: float
    same_concept: float


def neighbours(
    images: npt.NDArray[np.uint8],
    names: Sequence[str],
    known: KnownPictures,
    judge: IconClassifier,
) -> Neighbours:
    """Of pictures that show (or should show) `names`."""
    rmse_N, row_N = nearest_rmse(shrunk(images, NEIGHBOUR_SIDE), known.small)
    cosine_N = nearest_cosine(judge.features(images), known.features)
    same = [known.names[row] == name for row, name in zip(row_N.tolist(), names, strict=True)]
    return Neighbours(
        rmse=rmse_N.median().item(),
        rmse_5_percent=rmse_N.quantile(0.05).item(),
        cosine=cosine_N.median().item(),
        same_concept=float(np.mean(same)),
    )


def spread(features_NKD: Tensor) -> float:
    """Mean cosine distance between two pictures of one prompt; K is 2 or more."""
    unit_NKD = functional.normalize(features_NKD, dim=-1)
    similar_NKK = unit_NKD @ unit_NKD.transpose(1, 2)
    count = features_NKD.shape[1]
    off_diagonal = ~torch.eye(count, dtype=torch.bool)
    return float(1.0 - similar_NKK[:, off_diagonal].mean())


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
