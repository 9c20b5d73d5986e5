"""Replicas per hour over a day: exact dynamic programming beside reactive and fixed pools.

    minimise Σ_t price·r_t + start·max(0, r_t - r_{t-1})
    subject to r_t ≥ need_t

over (hour, replicas), O(T·R²), on a circle: the day ends as it began. Starting a replica costs its
lead time (weights to load, kernels to warm) at full price before it serves. The reactive scaler
sees an hour's need only when it has come: it runs with the last hour's replicas until its orders
arrive, and goes down one hour late (hysteresis). Lazy capacity provisioning (Lin et al. 2011) is
3-competitive with such a schedule; knowing the day is worth the difference.
"""

import math
from collections.abc import Sequence

import numpy as np

from loadsheet.planner.demand import Demand, binned_factors
from loadsheet.planner.placement import Placement
from loadsheet.planner.plan import Hour, Schedule
from loadsheet.planner.problem import Problem
from loadsheet.sim.scenario import Startup
from loadsheet.workload.arrivals import OpenLoop

HOUR_S = 3600.0
HOURS = 24


def schedules(problem: Problem, placements: Sequence[Placement]) -> tuple[Schedule, ...]:
    """Of every priced group whose traffic has a rhythm."""
    found = [_schedule(problem, one) for one in placements]
    return tuple(one for one in found if one is not None)


def optimal_replicas(
    needs: Sequence[int], usd_per_hour: float, start_usd: float
) -> tuple[tuple[int, ...], float]:
    """Replicas of every hour at least as many as needed, at the least cost of hours and starts; the
    day repeats. Exact."""
    best: tuple[tuple[int, ...], float] = ((), math.inf)
    for first in sorted(set(range(needs[0], max(needs) + 1))):
        counts, cost = _from(first, needs, usd_per_hour, start_usd)
        if cost < best[1] - 1e-12:
            best = (counts, cost)
    return best


def schedule_usd(counts: Sequence[int], usd_per_hour: float, start_usd: float) -> float:
    """Hours and starts of a day that repeats."""
    starts = sum(
        max(0, after - before) for before, after in zip((counts[-1], *counts), counts, strict=False)
    )
    return usd_per_hour * sum(counts) + start_usd * starts


def reactive_replicas(needs: Sequence[int]) -> tuple[int, ...]:
    """What an hour's scaler ends with: up as soon as it sees the need, down one hour late."""
    return tuple(max(need, needs[place - 1]) for place, need in enumerate(needs))


def _from(
    first: int, needs: Sequence[int], usd_per_hour: float, start_usd: float
) -> tuple[tuple[int, ...], float]:
    """The best day that begins, and ends, with `first` replicas."""
    sizes = range(min(needs), max(needs) + 1)
    costs = {first: usd_per_hour * first}
    steps: list[dict[int, int]] = []
    for need in needs[1:]:
        after: dict[int, float] = {}
        came: dict[int, int] = {}
        for size in sizes:
            if size < need:
                continue
            options = {
                before: cost + start_usd * max(0, size - before) for before, cost in costs.items()
            }
            came[size] = min(options, key=lambda before: (options[before], before))
            after[size] = options[came[size]] + usd_per_hour * size
        costs, steps = after, [*steps, came]
    closing = {size: cost + start_usd * max(0, first - size) for size, cost in costs.items()}
    last = min(closing, key=lambda size: (closing[size], size))
    counts = [last]
    for came in reversed(steps):
        counts.append(came[counts[-1]])
    return tuple(reversed(counts)), closing[last]


def _schedule(problem: Problem, placement: Placement) -> Schedule | None:
    factors = _factors(problem, placement)
    price = placement.offer.usd_per_hour
    if factors is None or not price or not placement.offer.may_stop:
        return None
    each = price * placement.option.tp
    needs = [_needed(problem, placement, factor) for factor in factors]
    lead_s = _lead_s(problem, placement)
    start_usd = each * lead_s / HOUR_S
    optimal, optimal_usd = optimal_replicas(needs, each, start_usd)
    reactive, static = reactive_replicas(needs), max(needs)
    hours = tuple(
        Hour(
            hour=hour,
            rate_factor=float(factor),
            optimal=optimal[hour],
            reactive=reactive[hour],
            static=static,
        )
        for hour, factor in enumerate(factors)
    )
    return Schedule(
        group=placement.replicas.name,
        lead_s=lead_s,
        hours=hours,
        optimal_usd=optimal_usd,
        reactive_usd=schedule_usd(reactive, each, start_usd),
        static_usd=each * static * HOURS,
        reactive_missed_hours=sum(need > needs[place - 1] for place, need in enumerate(needs)),
    )


def _factors(problem: Problem, placement: Placement) -> list[float] | None:
    """Of the first day's hours on the group's planned load; None where no class has a rhythm."""
    demands = {one.name: one for one in problem.demands}
    loads = {
        one.demand.name: placement.rates.get(one.demand.name, 0.0) * one.seconds
        for one in placement.option.classes
    }
    days = {name: _day(demands[name]) for name in loads}
    whole = sum(loads.values())
    if not whole or all(day is None for day in days.values()):
        return None
    total = np.zeros(HOURS)
    for name, load in loads.items():
        day = days[name]
        share = np.ones(HOURS) if day is None else day
        total += load / whole * share
    return [float(value) for value in total]


def _day(demand: Demand) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """Mean rates of the hours over the planned rate."""
    process = demand.traffic.arrivals
    if not isinstance(process, OpenLoop) or process.rhythm is None:
        return None
    factors = binned_factors(process.rhythm, HOUR_S, HOURS)
    return np.asarray(factors * demand.mean_rps / demand.planned_rps, dtype=np.float64)


def _needed(problem: Problem, placement: Placement, factor: float) -> int:
    """The smallest pool that carries this part of the group's planned load, spares included."""
    spare = problem.question.workload.planning.spare_replicas
    option = placement.option
    load = factor * sum(
        placement.rates.get(one.demand.name, 0.0) * one.seconds for one in option.classes
    )
    for number in range(1 + spare, placement.count + 1):
        working = number - spare
        if load <= working * (option.share(working) - option.tax):
            return number
    return placement.count


def _lead_s(problem: Problem, placement: Placement) -> float:
    """From an order to the first request, as the simulator has it."""
    startup = Startup()
    link = placement.option.device.host_bytes_per_s or startup.bytes_per_s
    weights = sum(problem.book.weight_bytes(model) for model in placement.replicas.models)
    return startup.base_s + weights / placement.option.tp / min(startup.bytes_per_s, link)
