"""From records to one result per class, by the metrics and estimates that measurements use."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadsheet.distribution import QUANTILES, Distribution, distribution
from loadsheet.estimate import Estimate, batch_rates, rate
from loadsheet.metrics import ImageTiming, TextTiming
from loadsheet.sim.observation import Window
from loadsheet.sim.record import Fate, Record
from loadsheet.sim.result import ClassResult, Counts
from loadsheet.sim.token_gaps import TokenGaps, weighted_quantile
from loadsheet.workload.request import RequestKind
from loadsheet.workload.slo import SLO


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFacts:
    """What records do not say when there are none."""

    name: str
    kind: RequestKind
    model: str
    slo: SLO


def by_class(records: Iterable[Record], window: Window) -> Mapping[str, list[Record]]:
    """The records due in the window."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if window.start_s <= record.job.request.arrival_s < window.end_s:
            found[record.job.class_name].append(record)
    return found


def class_result(
    facts: ClassFacts, due: Sequence[Record], window: Window, rng: np.random.Generator
) -> ClassResult:
    fates = Counter(record.fate for record in due)
    good = [record.job.request.arrival_s for record in due if record.is_good()]
    attainment = len(good) / len(due) if due else 1.0
    goodput = batch_rates(good, [1.0] * len(good), start_s=window.start_s, end_s=window.end_s)
    return ClassResult(
        name=facts.name,
        kind=facts.kind,
        model=facts.model,
        slo=facts.slo,
        counts=Counts(
            due=len(due),
            served=fates[Fate.SERVED],
            rejected=fates[Fate.REJECTED],
            lost=fates[Fate.LOST],
            unfinished=fates[Fate.UNFINISHED],
        ),
        num_good=len(good),
        attainment=attainment,
        is_met=attainment >= facts.slo.percentile,
        offered_rps=len(due) / window.length_s,
        goodput_rps=rate(list(goodput)),
        latency=_latency(due, rng),
    )


def gap_distribution(gaps: Sequence[TokenGaps]) -> Distribution | None:
    """Of one text model over all its replicas. Without intervals: gaps of one step come together,
    and what a stream saw is not kept. None without a second token."""
    pairs = [one.weighted() for one in gaps]
    values = np.concatenate([values for values, _ in pairs]) if pairs else np.zeros(0)
    if not len(values):
        return None
    weights = np.concatenate([weights for _, weights in pairs])
    num, centre = int(weights.sum()), float(np.average(values, weights=weights))
    variance = float(np.average((values - centre) ** 2, weights=weights))
    return Distribution(
        name="itl_s",
        num=num,
        mean=Estimate(value=centre),
        std=variance**0.5,
        minimum=float(values.min()),
        maximum=float(values.max()),
        quantiles={
            label: Estimate(value=weighted_quantile(values, weights, q))
            for label, q in QUANTILES.items()
        },
    )


def _latency(due: Sequence[Record], rng: np.random.Generator) -> tuple[Distribution, ...]:
    """Of served requests; a metric without values is left out."""
    groups: defaultdict[str, list[tuple[float]]] = defaultdict(list)
    for record in due:
        if record.fate is Fate.SERVED:
            for name, value in _values(record):
                groups[name].append((value,))
    return tuple(distribution(name, values, rng) for name, values in groups.items())


def _values(record: Record) -> Iterable[tuple[str, float]]:
    timing = record.timing()
    if isinstance(timing, TextTiming):
        yield "ttft_s", timing.ttft_s
        if timing.tpot_s is not None:
            yield "tpot_s", timing.tpot_s
        yield "e2e_s", timing.e2e_s
        return
    assert isinstance(timing, ImageTiming)
    is_image = record.job.request.kind is RequestKind.IMAGE
    yield ("time_to_image_s" if is_image else "e2e_s"), timing.time_to_image_s
