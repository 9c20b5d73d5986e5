"""What each class will see: from the simulated check, or from the closed form without one."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from loadsheet.estimate import Estimate, mean
from loadsheet.planner.check import ClassCheck, metrics_of
from loadsheet.planner.demand import Demand, TextSizes
from loadsheet.planner.fit import ClassFit
from loadsheet.planner.placement import Placement
from loadsheet.planner.plan import ClassForecast, Figure, LatencyForecast, Source
from loadsheet.planner.search import Finalist
from loadsheet.workload.request import RequestKind

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_CLOSED = "Erlang-C with the Allen-Cunneen factor at the planned utilisation"


def forecast(demand: Demand, finalist: Finalist) -> ClassForecast:
    check = finalist.check
    seen = None if check is None else check.classes[demand.name]
    how = "" if check is None else f"{len(check.seeds)} seeds of {check.seconds:.0f} s"
    planned = finalist.solution.scale * demand.planned_rps
    latencies = tuple(
        _latency(demand, finalist.placements, metric, limit_s, seen, how)
        for metric, limit_s in metrics_of(demand).items()
    )
    attainment = _attainment(demand, latencies, seen, how)
    good = Figure(
        value=planned * attainment.value,
        source=attainment.source,
        how="planned requests/s times attainment",
        low=None if attainment.low is None else planned * attainment.low,
        high=None if attainment.high is None else planned * attainment.high,
    )
    return ClassForecast(
        name=demand.name,
        kind=demand.kind,
        model=demand.model,
        percentile=demand.slo.percentile,
        mean_rps=demand.mean_rps,
        planned_rps=planned,
        latencies=latencies,
        attainment=attainment,
        goodput_rps=good,
    )


def _latency(
    demand: Demand,
    placements: Sequence[Placement],
    metric: str,
    limit_s: float,
    seen: ClassCheck | None,
    how: str,
) -> LatencyForecast:
    quantiles = {**_QUANTILES, "at_slo": demand.slo.percentile}
    if seen is not None and any(seen.latencies[metric]):
        groups = [group for group in seen.latencies[metric] if group]
        figures = {name: _simulated(groups, q, how) for name, q in quantiles.items()}
    else:
        figures = {name: _closed(demand, placements, metric, q) for name, q in quantiles.items()}
    return LatencyForecast(metric=metric, limit_s=limit_s, **figures)


def _simulated(groups: Sequence[Sequence[float]], q: float, how: str) -> Figure:
    """The pooled quantile; the band is Student's over the seeds' own quantiles."""
    pooled = float(np.quantile(np.concatenate([np.asarray(group) for group in groups]), q))
    band = mean([float(np.quantile(group, q)) for group in groups])
    return _figure(pooled, band, how)


def _figure(value: float, band: Estimate, how: str) -> Figure:
    low = None if band.low is None else min(band.low, value)
    high = None if band.high is None else max(band.high, value)
    return Figure(value=value, source=Source.SIMULATED, how=how, low=low, high=high)


def _closed(demand: Demand, placements: Sequence[Placement], metric: str, q: float) -> Figure:
    """Of the slowest group that serves the class; no band, as nothing was run."""
    values = [
        _tpot_s(placement, one) if metric == "tpot_s" else _wait_s(placement, one, q)
        for placement in placements
        for one in placement.option.classes
        if one.demand.name == demand.name and placement.rates.get(demand.name)
    ]
    worst = max(values, default=math.inf)
    # beyond saturation there is no number; the largest float stands for it in JSON
    value = worst if math.isfinite(worst) else 1e9
    how = "decode time at the planned batch" if metric == "tpot_s" else _CLOSED
    return Figure(value=value, source=Source.COMPUTED, how=how)


def _wait_s(placement: Placement, one: ClassFit, q: float) -> float:
    option = placement.option
    loads = {each.demand.kind: 0.0 for each in option.classes}
    for each in option.classes:
        rate = placement.rates.get(each.demand.name, 0.0) / placement.count
        loads[each.demand.kind] += rate * each.seconds
    whole = sum(loads.values())
    split = loads.get(RequestKind.TEXT, 0.0) / whole if whole else 0.0
    return option.latency_s(one, placement.count, placement.utilisation, split, q)


def _tpot_s(placement: Placement, one: ClassFit) -> float:
    """The cadence i at which B = λ·o·i sequences decode in what others leave of the time:
    i·(1 - u) = τ(1) + g·(λ·o·i - 1)."""
    assert isinstance(one.demand.sizes, TextSizes)
    others = 0.0
    for each in placement.option.classes:
        rate = placement.rates.get(each.demand.name, 0.0) / placement.count
        is_text = each.demand.kind is RequestKind.TEXT
        others += rate * (each.prompt_s if is_text else each.seconds)
    growth_s = (one.seconds - one.prompt_s) / one.demand.sizes.output_tokens
    rate = placement.rates[one.demand.name] / placement.count
    alone_s = next(
        fit.step_s for fit in placement.option.fits if fit.model.name == one.demand.model
    )
    left = 1 - others - growth_s * rate * one.demand.sizes.output_tokens
    return max(alone_s, (alone_s - growth_s) / left) if left > 0 else math.inf


def _attainment(
    demand: Demand, latencies: Sequence[LatencyForecast], seen: ClassCheck | None, how: str
) -> Figure:
    if seen is not None and any(seen.num_due):
        shares = [good / due for good, due in zip(seen.num_good, seen.num_due, strict=True) if due]
        band = mean(shares)
        high = None if band.high is None else min(1.0, band.high)
        return _figure(seen.attainment, Estimate(value=fmean(shares), low=band.low, high=high), how)
    is_met = all(one.is_met for one in latencies)
    value = demand.slo.percentile if is_met else 0.0
    words = "the promised share, as every latency at it is inside" if is_met else "a latency is not"
    return Figure(value=value, source=Source.COMPUTED, how=words)
