"""Gaps between tokens of one text model, kept as runs: what ITL percentiles are read from."""

import numpy as np
import numpy.typing as npt


class TokenGaps:
    """Each row: `count` gaps `first_s, first_s + growth_s, …`, each seen by `weight` streams."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, int, int]] = []

    def add(self, first_s: float, weight: int, *, growth_s: float = 0.0, count: int = 1) -> None:
        if weight and count:
            self._rows.append((first_s, growth_s, count, weight))

    def weighted(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Every gap in seconds, and how many streams saw it."""
        if not self._rows:
            return np.zeros(0), np.zeros(0, dtype=np.int64)
        first, growth, count, weight = (
            np.array(column) for column in zip(*self._rows, strict=True)
        )
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        gaps = np.repeat(first, count) + np.repeat(growth, count) * place
        return gaps.astype(np.float64), np.repeat(weight, count).astype(np.int64)


def weighted_quantile(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.int64], q: float
) -> float:
    """The q-quantile of the values repeated `weights` times, linear between order statistics."""
    order = np.argsort(values, kind="stable")
    ordered, ends = values[order], np.cumsum(weights[order])
    rank = q * (int(ends[-1]) - 1)
    low = ordered[np.searchsorted(ends, int(rank), side="right")]
    high = ordered[np.searchsorted(ends, min(int(rank) + 1, int(ends[-1]) - 1), side="right")]
    return float(low + (rank - int(rank)) * (high - low))
