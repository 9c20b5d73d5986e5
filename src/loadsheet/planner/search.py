"""The cheapest deployment that a simulation confirms, with models alone and with models sharing.

Solve by closed form, simulate, and correct the closed form where the simulation disagrees: options
that serve a class which missed its promise may run less full, options of a plan that kept all of
them a little fuller. The best confirmed plan stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadsheet.planner.check import Check, check
from loadsheet.planner.placement import Placement, placements_of
from loadsheet.planner.plan import Objective
from loadsheet.planner.problem import Problem, Progress
from loadsheet.planner.program import Solution

_ROUNDS = 5
_SCREENING = 2  # seeds that a plan has to pass first
_LESS, _MUCH_LESS, _MORE = 0.94, 0.85, 1.08
_FAR = 0.05  # below the promised share: far


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """`check` is None where nothing was simulated; `rounds` how often the search solved."""

    may_share: bool
    solution: Solution
    placements: tuple[Placement, ...]
    check: Check | None
    rounds: int

    @property
    def is_met(self) -> bool:
        return self.check is None or self.check.is_met

    @property
    def is_shared(self) -> bool:
        return any(one.option.is_shared for one in self.placements)

    @property
    def num_devices(self) -> int:
        return sum(one.num_devices for one in self.placements)

    @property
    def usd_per_hour(self) -> float | None:
        """Of the devices in use."""
        prices = [one.offer.usd_per_hour for one in self.placements]
        if None in prices:
            return None
        return sum((one.offer.usd_per_hour or 0.0) * one.num_devices for one in self.placements)


def search(
    problem: Problem, *, may_share: bool, progress: Progress, beside: Finalist | None = None
) -> Finalist | None:
    """The best finalist; one that misses a promise only where no other was found; None where the
    closed form has no solution. The options of the plan `beside` stay in the running."""
    favourites = frozenset(beside.solution.counts) if beside else frozenset()
    best: Finalist | None = None
    kind = "shared" if may_share else "silo"
    for number in range(1, _ROUNDS + 1):
        found = _solve(problem, may_share, number, favourites)
        if found is None or (
            best is not None and best.is_met and not _better(problem, found, best)
        ):
            return best
        if not problem.question.seeds:
            return found
        found = _checked(problem, found, progress, f"simulating {kind} plan {number}")
        if best is None or not best.is_met or found.is_met:
            best = found
        if not found.is_met and found is not best:
            return best  # went too far
        _correct(problem, found)
    return best


def better_of(problem: Problem, silo: Finalist | None, shared: Finalist | None) -> Finalist | None:
    """A confirmed one before one that is not; then by objective; then the simpler one."""
    if silo is None or shared is None:
        return silo or shared
    if silo.is_met != shared.is_met:
        return silo if silo.is_met else shared
    return shared if _better(problem, shared, silo) else silo


def _solve(
    problem: Problem, may_share: bool, number: int, favourites: frozenset[str]
) -> Finalist | None:
    solution = problem.program(may_share=may_share, favourites=favourites).solve()
    if solution is None or not solution.counts:
        return None
    return Finalist(
        may_share=may_share,
        solution=solution,
        placements=placements_of(problem, solution),
        check=None,
        rounds=number,
    )


def _better(problem: Problem, one: Finalist, other: Finalist) -> bool:
    """By more than rounding."""
    if problem.objective is Objective.GOODPUT:
        return one.solution.scale > other.solution.scale * (1 + 1e-4)
    return one.solution.cost < other.solution.cost * (1 - 1e-4)


def _checked(problem: Problem, found: Finalist, progress: Progress, words: str) -> Finalist:
    """With a few seeds, and with all of them if it passes."""
    seeds = problem.question.seeds

    def run(some: Sequence[int]) -> Check:
        return check(
            problem, found.placements, some, lambda done, total: progress(words, done, total)
        )

    result = run(seeds[:_SCREENING])
    if result.is_met and len(seeds) > _SCREENING:
        result = run(seeds)
    return Finalist(
        may_share=found.may_share,
        solution=found.solution,
        placements=found.placements,
        check=result,
        rounds=found.rounds,
    )


def _correct(problem: Problem, found: Finalist) -> None:
    """Of the options in use, and of all that serve a class which missed its promise."""
    assert found.check is not None
    used = {id(one.option) for one in found.placements}
    for _, option in problem.options:
        names = {one.demand.name for one in option.classes}
        missed = [name for name in found.check.broken if name in names]
        if missed and id(option) in used:
            worst = min(_margin(problem, found.check, name) for name in missed)
            option.correction *= _MUCH_LESS if worst < -_FAR else _LESS
        elif found.check.is_met and id(option) in used:
            option.correction *= _MORE


def _margin(problem: Problem, result: Check, name: str) -> float:
    """Attainment above what was promised."""
    (promised,) = (one.slo.percentile for one in problem.demands if one.name == name)
    return result.classes[name].attainment - promised
