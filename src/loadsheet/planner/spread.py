"""Linear programs around the planner's integer one: spreading rates, and pricing options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from loadsheet.planner.column import Column
from loadsheet.planner.rows import Rows

_TOLERANCE = 1e-6


class Question(Protocol):
    """What of a program these need."""

    @property
    def demands(self) -> Mapping[str, float]: ...

    @property
    def devices(self) -> Mapping[str, int | None]: ...

    @property
    def spare(self) -> int: ...

    @property
    def has_most_goodput(self) -> bool: ...

    def most(self, column: Column) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """`rates[class][column]`, and the share of each column's room that the fullest one uses."""

    rates: Mapping[str, Mapping[str, float]]
    scale: float
    fullest: float


def spread(
    question: Question, columns: Sequence[Column], counts: Mapping[str, int], goal: float | None
) -> Spread | None:
    """Rates that load all columns as evenly as can be, for `goal` times the demand; the most that
    fits where `goal` is None. None where that does not fit."""
    if goal is None:
        goal = _most(question, columns, counts)
    pairs = _pairs(question, columns)
    if set(question.demands) - {name for name, _ in pairs}:
        return None
    size = len(pairs) + 1
    over, limits = _used(question, columns, counts, pairs)
    over[:, -1] = -1.0
    needs = np.zeros((len(question.demands), size))
    for row, name in enumerate(question.demands):
        for at, (served, _) in enumerate(pairs):
            needs[row, at] = float(served == name)
    costs = np.zeros(size)
    costs[-1] = 1.0
    asked = goal * np.asarray(list(question.demands.values()))
    result = linprog(costs, A_ub=over, b_ub=limits, A_eq=needs, b_eq=asked, method="highs")
    if result.x is None or result.x[-1] > 1 + _TOLERANCE:
        return None
    rates: dict[str, dict[str, float]] = {name: {} for name in question.demands}
    for at, (name, index) in enumerate(pairs):
        if result.x[at] > 0:
            rates[name][columns[index].name] = float(result.x[at])
    return Spread(rates=rates, scale=goal, fullest=float(result.x[-1]))


def reduced_costs(question: Question, columns: Sequence[Column]) -> NDArray[np.float64] | None:
    """Of a replica of each column when replicas are divisible: 0 where the best plan uses it, else
    what it is too dear by. None where even that plan does not exist."""
    pairs = _pairs(question, columns)
    num_x, num_y = len(pairs), len(columns)
    size, rows = num_x + num_y + 1, Rows()
    mine: list[list[tuple[int, str]]] = [[] for _ in columns]
    for at, (name, index) in enumerate(pairs):
        mine[index].append((at, name))
    for index, column in enumerate(columns):
        most = question.most(column)
        for per_request, room in (
            (column.seconds, column.room(most, question.spare) / most),
            (column.held, column.free * (most - question.spare) / most),
        ):
            used = [(at, per_request[name] / room) for at, name in mine[index]]
            rows.add([*used, (num_x + index, -1.0)], -np.inf, 0.0)
    for device, number in question.devices.items():
        if number is not None:
            taken = [
                (num_x + index, float(column.num_devices))
                for index, column in enumerate(columns)
                if column.device == device
            ]
            rows.add(taken, -np.inf, number)
    for name, demand in question.demands.items():
        served = [(at, -1.0) for at, (of, _) in enumerate(pairs) if of == name]
        rows.add([*served, (size - 1, demand)], -np.inf, 0.0)
    costs = np.array([0.0] * num_x + [column.cost for column in columns] + [0.0])
    scales: tuple[float, float | None] = (1.0, 1.0)
    if question.has_most_goodput:
        costs = np.array([0.0] * (size - 1) + [-1.0])
        scales = (0.0, None)
    bounds = [(0.0, None)] * (size - 1) + [scales]
    matrix = rows.matrix(size)
    result = linprog(costs, A_ub=matrix, b_ub=rows.highs, bounds=bounds, method="highs")
    if result.x is None:
        return None
    return np.asarray(result.lower.marginals[num_x : num_x + num_y], dtype=np.float64)


def _most(question: Question, columns: Sequence[Column], counts: Mapping[str, int]) -> float:
    """The largest factor on the demand that fits."""
    pairs = _pairs(question, columns)
    size = len(pairs) + 1
    over, limits = _used(question, columns, counts, pairs)
    needs = np.zeros((len(question.demands), size))
    for row, (name, demand) in enumerate(question.demands.items()):
        needs[row, -1] = -demand
        for at, (served, _) in enumerate(pairs):
            needs[row, at] = float(served == name)
    costs = np.zeros(size)
    costs[-1] = -1.0
    ones = np.ones_like(limits)
    zeros = np.zeros(len(question.demands))
    result = linprog(costs, A_ub=over, b_ub=ones, A_eq=needs, b_eq=zeros, method="highs")
    return float(result.x[-1]) if result.x is not None else 0.0


def _used(
    question: Question,
    columns: Sequence[Column],
    counts: Mapping[str, int],
    pairs: Sequence[tuple[str, int]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of the share of time, and of memory, that each column's rates use; limits of 0."""
    over = np.zeros((2 * len(columns), len(pairs) + 1))
    for index, column in enumerate(columns):
        number = counts[column.name]
        room = column.room(number, question.spare)
        free = column.free * (number - question.spare)
        for at, (name, of) in enumerate(pairs):
            if of == index:
                over[2 * index, at] = column.seconds[name] / max(room, 1e-12)
                over[2 * index + 1, at] = column.held[name] / max(free, 1e-12)
    return over, np.zeros(2 * len(columns))


def _pairs(question: Question, columns: Sequence[Column]) -> list[tuple[str, int]]:
    return [
        (name, index)
        for index, column in enumerate(columns)
        for name in column.seconds
        if name in question.demands
    ]
