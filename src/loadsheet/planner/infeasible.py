"""Why there is no plan: which promise, by how much, and the cheapest change that mends it."""

from dataclasses import dataclass, replace

from loadsheet.errors import InfeasibleError
from loadsheet.planner.demand import Demand
from loadsheet.planner.plan import Objective
from loadsheet.planner.problem import Problem, problem_of
from loadsheet.planner.question import Question
from loadsheet.units import format_seconds
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import ImageTraffic, TextTraffic

_FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0)
_MAX_REASONS = 4


def infeasible(problem: Problem) -> InfeasibleError:
    """An error to raise, with one line per finding."""
    stuck = [one for one in problem.demands if not _servers(problem, one)]
    lines = _stuck_lines(problem, stuck) if stuck else _full_lines(problem)
    return InfeasibleError("\n  ".join(["no plan keeps every promise", *lines]))


def _servers(problem: Problem, demand: Demand) -> list[str]:
    """Options that could serve a class at all."""
    spare = problem.question.workload.planning.spare_replicas
    most = 1 << 10
    return [
        option.name
        for offer, option in problem.options
        if not option.rejection
        and demand.name in {one.demand.name for one in option.classes}
        and option.share(most) > option.tax
        and (offer.number is None or offer.number // option.tp > spare)
    ]


def _stuck_lines(problem: Problem, stuck: list[Demand]) -> list[str]:
    lines = []
    for demand in stuck:
        alone = [
            option
            for _, option in problem.options
            if not option.is_shared and option.models == (demand.model,)
        ]
        reasons = list(dict.fromkeys(f"{one.name}: {one.rejection}" for one in alone))
        lines.append(f"{demand.name}: no device can serve it")
        lines += [f"  {reason}" for reason in reasons[:_MAX_REASONS]]
        if not alone:
            lines += [f"  {words}" for words in problem.refused[:_MAX_REASONS]]
        lines.append(f"  {_relaxed(problem, demand)}")
    return lines


def _full_lines(problem: Problem) -> list[str]:
    """Every class could be served, but not all of them by these devices."""
    program = problem.program(may_share=True, objective=Objective.GOODPUT)
    most = program.solve()
    scale = most.scale if most else 0.0
    lines = [f"the devices serve {scale:.0%} of the planned traffic"]
    for offer in problem.offers:
        solution = problem.program(may_share=True, unlimited=frozenset({offer.name})).solve()
        if solution is None or offer.number is None:
            continue
        needed = sum(
            column.num_devices * solution.counts.get(column.name, 0)
            for column in program.columns
            if column.device == offer.name
        )
        extra = max(0, needed - offer.number)
        price = (
            "" if offer.usd_per_hour is None else f", ${extra * offer.usd_per_hour:,.2f} an hour"
        )
        lines.append(f"{extra} more {offer.name} would do{price}")
    if scale > 0:
        lines.append(f"or plan for less: --rate x{int(scale * 100) / 100:g}")
    return lines


@dataclass(frozen=True, slots=True)
class _Promise:
    words: str
    slo: TextSLO | ImageSLO


def _relaxed(problem: Problem, demand: Demand) -> str:
    """The smallest of a few longer promises with which the class can be served."""
    for factor in _FACTORS:
        for promise in _longer(demand, factor):
            trial = problem_of(_promising(problem.question, demand, promise), _quiet, problem.book)
            if all(_servers(trial, one) for one in trial.demands if one.name == demand.name):
                return f"would do: {promise.words}"
    return f"even {_FACTORS[-1]:g} times its promises would not do: it needs larger devices"


def _longer(demand: Demand, factor: float) -> list[_Promise]:
    slo = demand.slo
    if isinstance(slo, ImageSLO):
        longer = replace(slo, deadline_s=slo.deadline_s * factor)
        return [_Promise(f"a deadline of {format_seconds(longer.deadline_s)}", longer)]
    ttft = replace(slo, ttft_s=slo.ttft_s * factor)
    tpot = replace(slo, tpot_s=slo.tpot_s * factor)
    both = replace(ttft, tpot_s=tpot.tpot_s)
    return [
        _Promise(f"TTFT {format_seconds(ttft.ttft_s)}", ttft),
        _Promise(f"TPOT {format_seconds(tpot.tpot_s)}", tpot),
        _Promise(
            f"TTFT {format_seconds(both.ttft_s)} with TPOT {format_seconds(both.tpot_s)}", both
        ),
    ]


def _promising(question: Question, demand: Demand, promise: _Promise) -> Question:
    slo = promise.slo

    def promised(one: TextTraffic | ImageTraffic) -> TextTraffic | ImageTraffic:
        if one.name != demand.name:
            return one
        if isinstance(one, TextTraffic):
            assert isinstance(slo, TextSLO)
            return replace(one, slo=slo)
        assert isinstance(slo, ImageSLO)
        return replace(one, slo=slo)

    traffic = tuple(promised(one) for one in question.workload.traffic)
    return replace(question, workload=replace(question.workload, traffic=traffic))


def _quiet(what: str, done: int, total: int) -> None:
    """Trials are quick; nobody watches."""
