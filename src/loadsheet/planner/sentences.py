"""The plan in words, each computed from the numbers that it mentions."""

from collections.abc import Sequence

from loadsheet.planner.placement import Placement
from loadsheet.planner.plan import Alternative, ClassForecast, Loss, Objective, Sharing
from loadsheet.planner.problem import Problem
from loadsheet.planner.search import Finalist
from loadsheet.units import format_seconds
from loadsheet.workload.request import RequestKind


def why_group(placement: Placement) -> str:
    option = placement.option
    work = ", ".join(f"{rate:.3g}/s {name}" for name, rate in sorted(placement.rates.items()))
    tax = f", of which decoding takes {option.tax:.0%} at any load" if option.tax else ""
    return (
        f"{placement.count} x {option.device.name}"
        f"{f' x{option.tp}' if option.tp > 1 else ''} for {work or 'no traffic'}: "
        f"{placement.utilisation:.0%} busy{tax}, {option.share(placement.count):.0%} allowed"
    )


def answer(
    chosen: Finalist, usd_per_hour: float | None, classes: Sequence[ClassForecast]
) -> tuple[str, ...]:
    """What to buy, and whether it keeps its promises."""
    devices: dict[str, int] = {}
    for one in chosen.placements:
        devices[one.option.device.name] = devices.get(one.option.device.name, 0) + one.num_devices
    list_of = " and ".join(f"{count} x {name}" for name, count in devices.items())
    cost = "" if usd_per_hour is None else f" for ${usd_per_hour:,.2f} an hour"
    checked = "by closed form" if chosen.check is None else "simulated"
    met = [one for one in classes if one.is_met]
    head = f"{list_of}{cost}: {len(met)} of {len(classes)} classes keep their promise ({checked})."
    return (head, *(_class_words(one) for one in classes))


def _class_words(one: ClassForecast) -> str:
    parts = [
        f"{_SHORT[latency.metric]} {format_seconds(latency.at_slo.value)} of "
        f"{format_seconds(latency.limit_s)}"
        for latency in one.latencies
    ]
    verdict = "kept" if one.is_met else "missed"
    return (
        f"{one.name} at {one.planned_rps:.3g}/s: p{100 * one.percentile:g} {', '.join(parts)}; "
        f"{one.attainment.value:.1%} of requests keep every promise, {one.percentile:.0%} have to: "
        f"{verdict}."
    )


_SHORT = {
    "ttft_s": "TTFT",
    "tpot_s": "TPOT",
    "time_to_image_s": "time to image",
    "e2e_s": "latency",
}


def alternative(found: Finalist | None, words: str) -> Alternative:
    if found is None:
        return Alternative(num_devices=None, usd_per_hour=None, is_checked=False, reason=words)
    reason = "keeps every promise"
    if found.check is None:
        reason = "keeps every promise by closed form"
    elif not found.check.is_met:
        reason = f"misses in simulation: {', '.join(found.check.broken)}"
    return Alternative(
        num_devices=found.num_devices,
        usd_per_hour=found.usd_per_hour,
        is_checked=found.check is not None and found.check.is_met,
        reason=reason,
    )


def sharing(
    problem: Problem, silo: Finalist | None, shared: Finalist | None, chosen: Finalist
) -> Sharing:
    """`shared` is the best plan that may share, which may not want to."""
    nothing = "no plan without sharing fits the devices"
    best_shared = shared if shared is not None and shared.is_shared else None
    if best_shared is None:
        sentence = _no_sharing(problem)
    elif silo is None:
        sentence = f"Only sharing fits: {nothing}."
    else:
        sentence = _compare(problem, silo, best_shared, chosen)
    return Sharing(
        silo=alternative(silo, nothing),
        shared=alternative(best_shared, "no plan in which models share is better"),
        is_shared=chosen.is_shared,
        sentences=(sentence, *_reasons(chosen)),
    )


def _no_sharing(problem: Problem) -> str:
    tried = [option for _, option in problem.options if option.is_shared]
    if not tried:
        return "Nothing can share: one model, or none that may sit beside another."
    refused = [option for option in tried if option.rejection]
    if len(refused) == len(tried):
        return f"Silo: no pair of models can share, as in {tried[0].name}: {tried[0].rejection}."
    return (
        f"Silo: of {len(tried)} ways to share {len(tried) - len(refused)} would work, but none is "
        "cheaper than models on devices of their own."
    )


def _compare(problem: Problem, silo: Finalist, shared: Finalist, chosen: Finalist) -> str:
    winner = "Sharing" if chosen.is_shared else "Silo"
    if silo.is_met != shared.is_met:
        loser = silo if chosen.is_shared else shared
        assert loser.check is not None
        return f"{winner} wins: the other misses {', '.join(loser.check.broken)} in simulation."
    if problem.objective is Objective.GOODPUT:
        return (
            f"{winner} wins: {shared.solution.scale:.2f} times the planned traffic shared, "
            f"{silo.solution.scale:.2f} in silos."
        )
    if silo.usd_per_hour is None or shared.usd_per_hour is None:
        return f"{winner} wins: {shared.num_devices} devices shared, {silo.num_devices} in silos."
    return (
        f"{winner} wins: ${shared.usd_per_hour:,.2f} an hour on {_devices(shared)} "
        f"shared, ${silo.usd_per_hour:,.2f} on {silo.num_devices} in silos "
        f"({shared.usd_per_hour / silo.usd_per_hour - 1:+.0%})."
    )


def _devices(found: Finalist) -> str:
    return f"{found.num_devices} device{'' if found.num_devices == 1 else 's'}"


def _reasons(chosen: Finalist) -> tuple[str, ...]:
    """Why sharing pays on the groups that share."""
    found = []
    for one in chosen.placements:
        if not one.option.is_shared:
            continue
        images = sum(
            one.rates.get(each.demand.name, 0.0) * each.seconds
            for each in one.option.classes
            if each.demand.kind is RequestKind.IMAGE
        )
        found.append(
            f"On {one.replicas.name} tokens need {one.utilisation - images / one.count:.0%} of the "
            f"time and pictures fill {images / one.count:.0%} more of it."
        )
    return tuple(found)


def breaks_first(losses: Sequence[Loss]) -> str:
    worst = min(losses, key=lambda loss: loss.served_share)
    return f"What breaks first: {worst.sentence}."
