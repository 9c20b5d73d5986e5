"""Constraints of a linear program, written down row by row and kept sparse."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy.optimize import LinearConstraint
from scipy.sparse import coo_matrix, csr_matrix


@dataclass(slots=True)
class Rows:
    """`low ≤ Σ value·variable ≤ high`, each variable by its place."""

    data: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)

    def add(self, entries: Sequence[tuple[int, float]], low: float, high: float) -> None:
        for place, value in entries:
            self.data.append(value)
            self.rows.append(len(self.lows))
            self.places.append(place)
        self.lows.append(low)
        self.highs.append(high)

    def matrix(self, size: int) -> csr_matrix:
        shape = (len(self.lows), size)
        return coo_matrix((self.data, (self.rows, self.places)), shape=shape).tocsr()

    def constraint(self, size: int) -> LinearConstraint:
        return LinearConstraint(self.matrix(size), self.lows, self.highs)
