"""Which options, how many of each: a mixed-integer linear program, solved by HiGHS.

    minimise   Σ_c cost_c·y_c
    subject to Σ_c x_kc ≥ s·demand_k                     every class k is served
               Σ_k seconds_kc·x_kc ≤ room_c(y_c)         and fits: (share_c(y) - tax_c)·y
               Σ_k held_kc·x_kc ≤ free_c·y_c             in memory too (Little's law)
               Σ_c on d devices_c·y_c ≤ devices_d        on the devices there are

x are rates, y replicas. The share that a pool may use grows with its size, so y is cut into tiers,
each with the share of its smallest size; small pools have a tier per size and are exact. One
replica per pool may be kept spare (N-1): its room does not count. For goodput, s is maximised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from loadsheet.planner.column import Column
from loadsheet.planner.rows import Rows
from loadsheet.planner.spread import reduced_costs, spread

_EXACT_SIZES = 12
_GROWTH, _FAST_GROWTH = 1.3, 1.7  # from tier to tier beyond; in large programs
_MAX_COLUMNS = 40
_FEW_REPLICAS = 60  # one of more matters little
_GAP = 2e-3
_NODES, _MANY_NODES = 400, 20_000  # not seconds: the same question has the same answer
_MOST = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """`counts` of replicas by column; `rates[class][column]`; `scale` of the demand served."""

    counts: Mapping[str, int]
    rates: Mapping[str, Mapping[str, float]]
    scale: float
    cost: float


@dataclass(frozen=True, kw_only=True)
class Program:
    """`devices` by name: how many there are, None for as many as needed. Columns named in
    `favourites` are never left out before the search."""

    columns: Sequence[Column]
    demands: Mapping[str, float]
    devices: Mapping[str, int | None]
    spare: int = 0
    has_most_goodput: bool = False
    favourites: frozenset[str] = frozenset()
    _most: dict[str, int] = field(default_factory=dict)

    def solve(self) -> Solution | None:
        """None when the demand cannot be served; raises nothing."""
        kept = self._kept_columns()
        if not kept:
            return None
        found = _Matrix(program=self, columns=kept).solve()
        if found is None and len(kept) < len(self.columns):
            found = _Matrix(program=self, columns=list(self.columns)).solve()
        return None if found is None else self._polish(found)

    @cached_property
    def usable(self) -> list[Column]:
        """Columns that have room at some size that there are devices for."""
        sizes = [(column, self.most(column)) for column in self.columns]
        return [column for column, most in sizes if column.room(most, self.spare) > 0]

    def most(self, column: Column) -> int:
        """Replicas beyond which a column gains nothing; 0 where promises leave no time at all."""
        if column.name not in self._most:
            self._most[column.name] = self._most_of(column)
        return self._most[column.name]

    def _most_of(self, column: Column) -> int:
        if column.share(_MOST) <= column.tax + 1e-6:
            return 0
        limit = self.devices[column.device]
        by_fleet = None if limit is None else limit // column.num_devices
        if self.has_most_goodput:
            return by_fleet or 0
        full = max(column.share(_MOST) - column.tax, 1e-9)
        work = sum(self.demands[name] * each for name, each in column.seconds.items())
        held = sum(self.demands[name] * each for name, each in column.held.items())
        needed = int(max(work / full, held / max(column.free, 1.0))) + 2 + self.spare
        while column.room(needed, self.spare) < work and needed < (by_fleet or _MOST):
            needed += 1 + needed // 4
        return needed if by_fleet is None else min(needed, by_fleet)

    def rates_for(self, counts: Mapping[str, int], goal: float | None = None) -> Solution | None:
        """How to spread the demand over so many replicas; None where it does not fit."""
        used = [column for column in self.columns if counts.get(column.name)]
        if goal is None and not self.has_most_goodput:
            goal = 1.0
        found = spread(self, used, counts, goal)
        if found is None:
            return None
        cost = sum(column.cost * counts[column.name] for column in used)
        return Solution(counts=dict(counts), rates=found.rates, scale=found.scale, cost=cost)

    def _kept_columns(self) -> list[Column]:
        """All of few; of many those that the relaxed program prices best (reduced cost)."""
        usable = self.usable
        if len(usable) <= _MAX_COLUMNS:
            return usable
        relaxed = reduced_costs(self, usable)
        if relaxed is None:
            return usable
        ranked = sorted(range(len(usable)), key=lambda index: (relaxed[index], index))
        kept = [index for index in ranked if usable[index].name in self.favourites]
        kept += ranked[: _MAX_COLUMNS - len(kept) // 2]
        if not self.favourites:
            for name in self.demands:  # each class keeps two ways out
                kept += [index for index in ranked if name in usable[index].seconds][:2]
        return [usable[index] for index in sorted(set(kept))]

    def _polish(self, found: Solution) -> Solution:
        """Take replicas away while the demand still fits: tiers are careful inside."""
        if self.has_most_goodput or sum(found.counts.values()) > _FEW_REPLICAS:
            return found
        costs = {column.name: column.cost for column in self.columns}
        best, improved = found, True
        while improved:
            improved = False
            for name in sorted(best.counts, key=lambda name: (-costs[name], name)):
                fewer = {**best.counts, name: best.counts[name] - 1}
                trial = self.rates_for({key: value for key, value in fewer.items() if value})
                if trial is not None:
                    best, improved = trial, True
                    break
        return best


@dataclass(kw_only=True)
class _Matrix:
    """The program as arrays: variables are [x…, y…, b…, s]."""

    program: Program
    columns: list[Column]

    @cached_property
    def tiers(self) -> list[tuple[int, int, int]]:
        """(column, smallest, largest size) of every tier that offers room."""
        found = []
        is_small = len(self.columns) <= _MAX_COLUMNS // 2
        exact, growth = (_EXACT_SIZES, _GROWTH) if is_small else (3, _FAST_GROWTH)
        for index, column in enumerate(self.columns):
            most = self.program.most(column)
            starts = tier_starts(1 + self.program.spare, most, exact, growth)
            for place, low in enumerate(starts):
                high = starts[place + 1] - 1 if place + 1 < len(starts) else most
                if column.room(low, self.program.spare) > 0:
                    found.append((index, low, high))
        return found

    @cached_property
    def pairs(self) -> list[tuple[str, int]]:
        return [
            (name, index)
            for index, column in enumerate(self.columns)
            for name in column.seconds
            if name in self.program.demands
        ]

    def solve(self) -> Solution | None:
        program, tiers, pairs = self.program, self.tiers, self.pairs
        num_x, num_t = len(pairs), len(tiers)
        size = num_x + 2 * num_t + 1
        costs = np.zeros(size)
        for place, (index, _, _) in enumerate(tiers):
            costs[num_x + place] = self.columns[index].cost
        low, high = np.zeros(size), np.full(size, np.inf)
        high[num_x + num_t : -1] = 1
        low[-1] = high[-1] = 1.0
        if program.has_most_goodput:
            scale = costs.sum() * max((high for _, _, high in tiers), default=1) or 1.0
            costs *= 1e-4 / scale
            costs[-1], low[-1], high[-1] = -1.0, 0.0, np.inf
        nodes = _MANY_NODES if len(self.columns) <= _MAX_COLUMNS // 2 else _NODES
        integral = np.ones(size)
        integral[:num_x] = integral[-1] = 0
        result = milp(
            costs,
            constraints=self._rows(size),
            bounds=Bounds(low, high),
            integrality=integral,
            options={"mip_rel_gap": _GAP, "node_limit": nodes},
        )
        return None if result.x is None else self._solution(result.x)

    def _rows(self, size: int) -> LinearConstraint:
        program, rows = self.program, Rows()
        num_x, num_t = len(self.pairs), len(self.tiers)
        for name, demand in program.demands.items():
            entries = [(at, 1.0) for at, (served, _) in enumerate(self.pairs) if served == name]
            rows.add([*entries, (size - 1, -demand)], 0.0, np.inf)
        for index, column in enumerate(self.columns):
            own = [place for place, tier in enumerate(self.tiers) if tier[0] == index]
            mine = [(at, name) for at, (name, of) in enumerate(self.pairs) if of == index]
            rows.add(
                [(at, column.seconds[name]) for at, name in mine]
                + [entry for place in own for entry in self._room(place, column)],
                -np.inf,
                0.0,
            )
            rows.add(
                [(at, column.held[name] / column.free) for at, name in mine]
                + [(num_x + place, -1.0) for place in own]
                + [(num_x + num_t + place, float(program.spare)) for place in own],
                -np.inf,
                0.0,
            )
            rows.add([(num_x + num_t + place, 1.0) for place in own], 0.0, 1.0)
        for place, (_, smallest, largest) in enumerate(self.tiers):
            rows.add([(num_x + place, 1.0), (num_x + num_t + place, -smallest)], 0.0, np.inf)
            rows.add([(num_x + place, 1.0), (num_x + num_t + place, -largest)], -np.inf, 0.0)
        for device, limit in program.devices.items():
            if limit is not None:
                taken = [
                    (num_x + place, float(self.columns[index].num_devices))
                    for place, (index, _, _) in enumerate(self.tiers)
                    if self.columns[index].device == device
                ]
                rows.add(taken, 0.0, limit)
        return rows.constraint(size)

    def _room(self, place: int, column: Column) -> list[tuple[int, float]]:
        """-(share - tax)·(y - spare·b) with the share of the tier's smallest size."""
        spare, smallest = self.program.spare, self.tiers[place][1]
        each = column.share(smallest - spare) - column.tax
        num_x, num_t = len(self.pairs), len(self.tiers)
        return [(num_x + place, -each), (num_x + num_t + place, each * spare)]

    def _solution(self, values: NDArray[np.float64]) -> Solution | None:
        counts: dict[str, int] = {}
        num_x = len(self.pairs)
        for place, (index, _, _) in enumerate(self.tiers):
            number = round(values[num_x + place])
            if number:
                counts[self.columns[index].name] = number
        return self.program.rates_for(counts)


def tier_starts(first: int, most: int, exact: int, growth: float) -> list[int]:
    """Every size up to `exact`, then growing steps."""
    starts = list(range(first, min(most, exact) + 1))
    size = max(first, exact + 1)
    while size <= most:
        starts.append(size)
        size = max(size + 1, int(size * growth))
    return starts
