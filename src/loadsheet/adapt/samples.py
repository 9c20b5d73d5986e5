"""Which latent and which caption a training sample uses, drawn by weight.

P(picture) is the style's share × the concept's weight within that style, most of it for the drawing
as it is and a little for each moved variant. P(caption | picture) follows the caption's weight.
Caption 0 is the empty one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from loadsheet.adapt.captions import captions
from loadsheet.adapt.gallery import Picture

EMPTY_CAPTION_IDX = 0
VARIANT_WEIGHT = 0.1
"""Weight of a moved or mirrored drawing beside that of the drawing as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionTable:
    """All distinct captions, and per picture the numbers and weights of its own."""

    texts: tuple[str, ...]
    idx_by_picture: tuple[Tensor, ...]
    weights_by_picture: tuple[Tensor, ...]


def caption_table(pictures: Sequence[Picture]) -> CaptionTable:
    """Number the captions of these pictures; number 0 is ""."""
    number = {"": EMPTY_CAPTION_IDX}
    idx, weights = [], []
    for picture in pictures:
        own = captions(picture.concept, picture.style)
        idx.append(torch.tensor([number.setdefault(c.text, len(number)) for c in own]))
        weights.append(torch.tensor([c.weight for c in own]))
    return CaptionTable(
        texts=tuple(number), idx_by_picture=tuple(idx), weights_by_picture=tuple(weights)
    )


def picture_weights(pictures: Sequence[Picture]) -> Tensor:
    """Sampling probability of each picture; each style sums to its share."""
    totals: dict[str, float] = defaultdict(float)
    for picture in pictures:
        totals[picture.style.key] += _weight(picture)
    return torch.tensor(
        [p.style.share * _weight(p) / totals[p.style.key] for p in pictures],
        dtype=torch.float64,
    )


def _weight(picture: Picture) -> float:
    return picture.concept.weight * (1.0 if picture.variant == 0 else VARIANT_WEIGHT)


class Samples:
    """Weighted draws of (latents, caption number)."""

    def __init__(self, latents_NCHW: Tensor, weights_N: Tensor, table: CaptionTable) -> None:
        self.latents_NCHW = latents_NCHW
        self.weights_N = weights_N
        self.table = table

    def draw(
        self, count: int, empty_share: float, generator: torch.Generator
    ) -> tuple[Tensor, list[int]]:
        """`count` latents and caption numbers, a fraction `empty_share` of them unconditional."""
        rows = torch.multinomial(self.weights_N, count, replacement=True, generator=generator)
        is_empty = torch.rand(count, generator=generator) < empty_share
        caption_idx = [
            EMPTY_CAPTION_IDX if empty else self._caption(row, generator)
            for row, empty in zip(rows.tolist(), is_empty.tolist(), strict=True)
        ]
        return self.latents_NCHW[rows], caption_idx

    def _caption(self, row: int, generator: torch.Generator) -> int:
        weights = self.table.weights_by_picture[row]
        pick = torch.multinomial(weights, 1, generator=generator).item()
        return int(self.table.idx_by_picture[row][int(pick)])
