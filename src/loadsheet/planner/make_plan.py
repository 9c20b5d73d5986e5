"""From a question to a plan: price, search silo and shared, choose, and write down why."""

from loadsheet import __version__
from loadsheet.planner.alternatives import candidates, losses, pareto
from loadsheet.planner.day import schedules
from loadsheet.planner.forecast import forecast
from loadsheet.planner.infeasible import infeasible
from loadsheet.planner.placement import Placement
from loadsheet.planner.plan import (
    SCHEMA_VERSION,
    ClassLoad,
    Figure,
    Inputs,
    Objective,
    Plan,
    PlannedGroup,
    Source,
)
from loadsheet.planner.problem import Problem, Progress, problem_of
from loadsheet.planner.question import Question
from loadsheet.planner.search import Finalist, better_of, search
from loadsheet.planner.sentences import answer, breaks_first, sharing, why_group


def silent(what: str, done: int, total: int) -> None:
    """A progress that nobody watches."""


def make_plan(question: Question, progress: Progress = silent) -> Plan:
    """Raises InfeasibleError with the promise that cannot be kept, by how much, and what would fix
    it; ConfigError for a question that makes no sense."""
    problem = problem_of(question, progress)
    silo = search(problem, may_share=False, progress=progress)
    shared = search(problem, may_share=True, progress=progress, beside=silo)
    chosen = better_of(problem, silo, shared)
    if chosen is None:
        raise infeasible(problem)
    return _plan(problem, silo, shared, chosen, progress)


def _plan(
    problem: Problem,
    silo: Finalist | None,
    shared: Finalist | None,
    chosen: Finalist,
    progress: Progress,
) -> Plan:
    classes = tuple(forecast(one, chosen) for one in problem.demands)
    cost = _cost(problem, chosen)
    lost = losses(problem, chosen)
    words = answer(chosen, None if cost is None else cost.value, classes)
    verdict = sharing(problem, silo, shared, chosen)
    return Plan(
        schema_version=SCHEMA_VERSION,
        inputs=_inputs(problem),
        sentences=(*words, *verdict.sentences[:1], breaks_first(lost)),
        groups=tuple(_group(one) for one in chosen.placements),
        router="least-work",
        classes=classes,
        num_devices=Figure(
            value=float(chosen.num_devices), source=Source.COMPUTED, how="integer program"
        ),
        usd_per_hour=cost,
        power_w=Figure(
            value=sum(one.option.device.power_w * one.num_devices for one in chosen.placements),
            source=Source.CATALOGUE,
            how="datasheet power of the devices in use, at full load",
        ),
        goodput_rps=_goodput(classes_goodput=[one.goodput_rps for one in classes]),
        is_checked=None if chosen.check is None else chosen.check.is_met,
        sharing=verdict,
        candidates=candidates(problem, chosen),
        pareto=pareto(problem, [one for one in (silo, shared) if one], chosen, progress),
        losses=lost,
        schedules=schedules(problem, chosen.placements),
        notes=_notes(problem, chosen),
    )


def _inputs(problem: Problem) -> Inputs:
    question = problem.question
    planning = question.workload.planning
    return Inputs(
        workload=question.workload.name,
        cluster=question.cluster.name,
        objective=problem.objective,
        demand_percentile=planning.demand_percentile,
        spare_replicas=planning.spare_replicas,
        changes=question.changes,
        seeds=question.seeds,
        digest=question.digest(),
        made_with=f"loadsheet {__version__}",
    )


def _group(one: Placement) -> PlannedGroup:
    option = one.option
    price = one.offer.usd_per_hour
    return PlannedGroup(
        replicas=one.replicas,
        num_devices=one.num_devices,
        ledger=one.ledger,
        memory_bytes=option.device.memory_bytes,
        loads=tuple(
            ClassLoad(
                name=each.demand.name,
                rate_rps=one.rates.get(each.demand.name, 0.0),
                seconds_per_request=each.seconds,
            )
            for each in option.classes
        ),
        decode_tax=option.tax,
        max_utilisation=option.share(one.count),
        utilisation=one.utilisation,
        usd_per_hour=None if price is None else price * one.num_devices,
        power_w=option.device.power_w * one.num_devices,
        why=why_group(one),
    )


def _cost(problem: Problem, chosen: Finalist) -> Figure | None:
    """Of the devices in use, and of those that may not stop."""
    if any(offer.usd_per_hour is None for offer in problem.offers):
        return None
    used: dict[str, int] = {}
    for one in chosen.placements:
        used[one.offer.name] = used.get(one.offer.name, 0) + one.num_devices
    dollars = 0.0
    for offer in problem.offers:
        number = used.get(offer.name, 0)
        if not offer.may_stop:
            number = max(offer.owned, number)
        dollars += number * (offer.usd_per_hour or 0.0)
    notes = {
        offer.device.price.note
        for offer in problem.offers
        if offer.name in used and offer.device.price is not None
    }
    return Figure(value=dollars, source=Source.CATALOGUE, how="; ".join(sorted(notes)))


def _goodput(classes_goodput: list[Figure]) -> Figure:
    lows, highs = [one.low for one in classes_goodput], [one.high for one in classes_goodput]
    return Figure(
        value=sum(one.value for one in classes_goodput),
        source=classes_goodput[0].source,
        how="sum over classes",
        low=None if None in lows else sum(low for low in lows if low is not None),
        high=None if None in highs else sum(high for high in highs if high is not None),
    )


def _notes(problem: Problem, chosen: Finalist) -> tuple[str, ...]:
    notes = []
    check = chosen.check
    if check is None:
        notes.append("Analytic: nothing was simulated; latencies are closed forms without a band.")
    else:
        notes.append(
            f"Simulated: {len(check.seeds)} seeds of {check.seconds:.0f} s after a warm-up, the "
            f"served scheduler in virtual time, {check.scale:.0%} of the traffic; not measured."
        )
        if not check.is_met:
            notes.append(
                f"No plan passed the simulation; this one misses {', '.join(check.broken)}."
            )
    if problem.objective is Objective.GOODPUT:
        notes.append(
            f"Serves {chosen.solution.scale:.2f} times the planned traffic of every class."
        )
    if problem.refused:
        notes.append(f"{len(problem.refused)} placements were not tried; {problem.refused[0]}")
    estimated = sorted({offer.device.name for offer in problem.offers if offer.device.from_memory})
    if estimated:
        notes.append(f"Datasheets quoted from memory: {', '.join(estimated)}.")
    return tuple(notes)
