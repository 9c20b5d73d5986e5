"""What else there was: candidates with reasons, cheaper and dearer plans, and what breaks first."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from loadsheet.planner.column import Column
from loadsheet.planner.offer import Offer
from loadsheet.planner.option import Option
from loadsheet.planner.placement import Placement
from loadsheet.planner.plan import Candidate, Loss, Objective, ParetoPoint, Standing
from loadsheet.planner.problem import Problem, Progress, column_name
from loadsheet.planner.program import Program, Solution
from loadsheet.planner.search import Finalist
from loadsheet.planner.spread import reduced_costs, spread

FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_FEW_FACTORS = (1.0,)
_MANY_OPTIONS = 300
_MAX_CANDIDATES = 200


def candidates(problem: Problem, chosen: Finalist) -> tuple[Candidate, ...]:
    """Chosen first, then what could serve by how far it is from paying, then the rejected; at most
    200, of the rejected those of single models first."""
    used = set(chosen.solution.counts)
    dear = _too_dear(problem)
    ranked = sorted(
        ((_rank(pair, used, dear), column_name(*pair), pair) for pair in problem.options),
        key=lambda row: row[:2],
    )
    rows = []
    for _, name, (offer, option) in ranked[:_MAX_CANDIDATES]:
        if name in used:
            standing, reason = Standing.CHOSEN, "in the plan"
        elif option.rejection:
            standing, reason = Standing.REJECTED, option.rejection
        else:
            standing, reason = Standing.FEASIBLE, _not_chosen(problem, dear.get(name))
        rows.append(_candidate(offer, option, standing, reason))
    return tuple(rows)


def _rank(pair: tuple[Offer, Option], used: Set[str], dear: Mapping[str, float]) -> float:
    name = column_name(*pair)
    if name in used:
        return 0.0
    return 1e9 + len(pair[1].fits) if pair[1].rejection else 1.0 + dear.get(name, 0.0)


def _too_dear(problem: Problem) -> dict[str, float]:
    """By which share of its cost each option is dearer than what its work costs elsewhere."""
    program = problem.program(may_share=True)
    columns = program.usable
    prices = reduced_costs(program, columns) if columns else None
    if prices is None or problem.objective is Objective.GOODPUT:
        return {}
    return {
        column.name: float(price / column.cost)
        for column, price in zip(columns, prices, strict=True)
        if column.cost > 0
    }


def _not_chosen(problem: Problem, dear: float | None) -> str:
    if dear is None and problem.objective is Objective.GOODPUT:
        return "could serve; another mix serves more"
    if dear is None:
        return "promises leave no time beside the decode tax"
    unit = "dollars" if problem.objective is Objective.COST else "devices"
    if dear > 1e-3:
        return f"its work costs {dear:.0%} fewer {unit} elsewhere"
    return "costs the same per request; whole replicas fit worse"


def _candidate(offer: Offer, option: Option, standing: Standing, reason: str) -> Candidate:
    works = not option.rejection
    return Candidate(
        name=column_name(offer, option),
        device=offer.name,
        models=option.models,
        tp=option.tp,
        dtype="+".join(dict.fromkeys(fit.model.dtype for fit in option.fits)),
        is_shared=option.is_shared,
        standing=standing,
        reason=reason,
        max_rps={one.demand.name: option.max_rps(one) for one in option.classes if works},
        decode_tax=option.tax,
        usd_per_hour=None if offer.usd_per_hour is None else offer.usd_per_hour * option.tp,
        used_bytes=option.used_bytes,
        memory_bytes=option.device.memory_bytes,
    )


def pareto(
    problem: Problem, found: Sequence[Finalist], chosen: Finalist, progress: Progress
) -> tuple[ParetoPoint, ...]:
    """The plans `found`, and closed-form ones for less and more traffic, alone and shared, with
    what the simulations taught. Large problems have only the former."""
    if problem.objective is Objective.GOODPUT:
        return ()
    factors = FACTORS if len(problem.options) <= _MANY_OPTIONS else _FEW_FACTORS
    points = []
    for number, factor in enumerate(factors):
        progress("pricing other loads", number, len(factors))
        for may_share in (False, True):
            own = [one for one in found if factor == 1.0 and one.may_share == may_share]
            if own:
                is_chosen = own[0] is chosen
                points.append(_point(problem, own[0].solution, 1.0, may_share, is_chosen=is_chosen))
                continue
            solution = problem.program(may_share=may_share, factor=factor).solve()
            if solution is not None:
                points.append(_point(problem, solution, factor, may_share, is_chosen=False))
    progress("pricing other loads", len(factors), len(factors))
    return tuple(points)


def _point(
    problem: Problem, solution: Solution, factor: float, may_share: bool, *, is_chosen: bool
) -> ParetoPoint:
    pairs = {column_name(*pair): pair for pair in problem.options}
    used = [(*pairs[name], count) for name, count in solution.counts.items()]
    prices = [offer.usd_per_hour for offer, _, _ in used]
    dollars = None
    if None not in prices:
        dollars = sum(
            (offer.usd_per_hour or 0.0) * option.tp * count for offer, option, count in used
        )
    return ParetoPoint(
        label=f"{'shared' if may_share else 'silo'} x{factor:g}",
        rate_factor=factor,
        is_shared=any(option.is_shared for _, option, _ in used),
        usd_per_hour=dollars,
        num_devices=sum(option.tp * count for _, option, count in used),
        power_w=sum(option.device.power_w * option.tp * count for _, option, count in used),
        is_chosen=is_chosen,
    )


def losses(problem: Problem, chosen: Finalist) -> tuple[Loss, ...]:
    """One replica of each group less: what still fits, by the closed form without head-room for a
    second loss."""
    program = replace(problem.program(may_share=True), spare=0)
    columns = {column.name: column for column in program.columns}
    return tuple(
        _loss(program, columns, chosen.placements, index) for index in range(len(chosen.placements))
    )


def _loss(
    program: Program,
    columns: Mapping[str, Column],
    placements: Sequence[Placement],
    index: int,
) -> Loss:
    lost = placements[index]
    counts = {
        column_name(one.offer, one.option): one.count - (place == index)
        for place, one in enumerate(placements)
    }
    left = {name: count for name, count in counts.items() if count}
    found = spread(program, [columns[name] for name in left], left, None) if left else None
    served = min(1.0, found.scale) if found else 0.0
    broken = tuple(sorted(lost.rates)) if served < 1 - 1e-6 else ()
    group = lost.replicas.name
    if broken:
        words = f"one replica of {group} less: {served:.0%} of the planned load of all classes"
        sentence = f"{words} still fits; {', '.join(broken)} would miss"
    else:
        sentence = f"one replica of {group} less: everything planned still fits"
    return Loss(group=group, served_share=served, broken=broken, sentence=sentence)
