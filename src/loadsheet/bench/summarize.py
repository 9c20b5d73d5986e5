"""From records to the summary of a run. Pure: the same records give the same numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadsheet.bench.latency import distributions, latency_groups
from loadsheet.bench.load import Window
from loadsheet.bench.overhead import Overhead
from loadsheet.bench.promise import Promise
from loadsheet.bench.record import Outcome, RequestRecord
from loadsheet.bench.summary import (
    Attainment,
    ClassSummary,
    Counts,
    Interference,
    PhaseSummary,
    RunSummary,
)
from loadsheet.bench.throughput import decode_rate, main_rate_batches, rates
from loadsheet.estimate import Estimate
from loadsheet.metrics import goodput_rps, interference, share_sum
from loadsheet.workload.arrivals import ClosedLoop
from loadsheet.workload.request import RequestKind
from loadsheet.workload.traffic import Traffic

MIXED = "mixed"
_TOGETHER_NOTED = 0.05
_COMPARED = {
    RequestKind.TEXT: ("ttft_s", "tpot_s", "itl_s", "e2e_s"),
    RequestKind.IMAGE: ("time_to_image_s",),
}


def alone(traffic: str) -> str:
    """The name of the phase in which a class plays by itself."""
    return f"alone:{traffic}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedPhase:
    name: str
    window: Window
    traffic: tuple[Traffic, ...]
    records: tuple[RequestRecord, ...]
    overhead: Overhead

    def of(self, traffic: str) -> tuple[RequestRecord, ...]:
        return tuple(record for record in self.records if record.traffic == traffic)

    def due(self, traffic: str) -> tuple[RequestRecord, ...]:
        """Requests that count: due inside the window."""
        return tuple(record for record in self.of(traffic) if self.window.holds(record.due_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the records do not say: promises and models by class."""

    promises: Mapping[str, Promise]
    models: Mapping[str, str | None]


def summarize(phases: Sequence[PlayedPhase], facts: Facts, seed: int) -> RunSummary:
    rng = np.random.default_rng(seed)  # only bootstrap intervals depend on it
    by_name = {phase.name: phase for phase in phases}
    mixed = by_name.get(MIXED)
    pairs = []
    if mixed is not None:
        pairs = [
            (traffic, by_name[alone(traffic.name)])
            for traffic in mixed.traffic
            if alone(traffic.name) in by_name
        ]
    return RunSummary(
        phases=tuple(_phase(phase, facts, rng) for phase in phases),
        interference=tuple(
            item
            for traffic, apart in pairs
            if mixed is not None
            for item in _interference(traffic, mixed, apart, rng)
        ),
        share_sum=_share_sum(mixed, pairs, rng) if mixed is not None else None,
    )


def _phase(phase: PlayedPhase, facts: Facts, rng: np.random.Generator) -> PhaseSummary:
    classes = tuple(_class(traffic, phase, facts, rng) for traffic in phase.traffic)
    return PhaseSummary(
        name=phase.name,
        window=phase.window,
        classes=classes,
        joint_goodput_rps=sum(item.attainment.goodput_rps for item in classes),
        is_joint_met=all(item.attainment.is_met for item in classes),
        overhead=phase.overhead,
    )


def _class(
    traffic: Traffic, phase: PlayedPhase, facts: Facts, rng: np.random.Generator
) -> ClassSummary:
    due = phase.due(traffic.name)
    counts = _counts(due)
    is_open = not isinstance(traffic.arrivals, ClosedLoop)
    return ClassSummary(
        traffic=traffic.name,
        kind=traffic.kind,
        model=facts.models.get(traffic.name),
        counts=counts,
        offered_rps=counts.due / phase.window.length_s if is_open else None,
        latency=distributions(due, traffic.kind, rng),
        rates=_rates(traffic, phase, due),
        attainment=_attainment(due, facts.promises[traffic.name], phase.window),
        tokens_per_chunk=_tokens_per_chunk(due) if traffic.kind is RequestKind.TEXT else None,
        notes=_notes(counts, due),
    )


def _counts(due: Sequence[RequestRecord]) -> Counts:
    outcomes = Counter(record.reply.outcome for record in due)
    return Counts(
        due=len(due),
        ok=outcomes[Outcome.OK],
        refused=outcomes[Outcome.REFUSED],
        errors=outcomes[Outcome.ERROR],
        timeouts=outcomes[Outcome.TIMEOUT],
        unfinished=outcomes[Outcome.CUT],
    )


def _rates(
    traffic: Traffic, phase: PlayedPhase, due: Sequence[RequestRecord]
) -> dict[str, Estimate]:
    found = rates(phase.of(traffic.name), traffic.kind, phase.window)
    if traffic.kind is RequestKind.TEXT:
        groups = latency_groups(due, traffic.kind).get("tpot_s", [])
        per_stream = decode_rate([value for group in groups for value in group])
        if per_stream is not None:
            found["decode_tokens_per_s_per_stream"] = per_stream
    return found


def _attainment(due: Sequence[RequestRecord], promise: Promise, window: Window) -> Attainment:
    num_good = sum(promise.is_kept(record) for record in due)
    share = num_good / len(due) if due else 0.0
    return Attainment(
        slo=promise.slo,
        origin=promise.origin,
        num_good=num_good,
        share=share,
        goodput_rps=goodput_rps(num_good, window.length_s),
        is_met=share >= promise.slo.percentile,
    )


def _tokens_per_chunk(due: Sequence[RequestRecord]) -> float | None:
    ok = [record for record in due if record.is_ok]
    chunks = sum(len(record.reply.chunk_ns) for record in ok)
    return sum(record.num_tokens for record in ok) / chunks if chunks else None


def _notes(counts: Counts, due: Sequence[RequestRecord]) -> tuple[str, ...]:
    """What a reader must know before believing the numbers beside it."""
    notes = []
    if counts.ok < counts.due:
        lost = counts.due - counts.ok
        notes.append(f"{lost} of {counts.due} requests did not end well; latencies leave them out")
        errors = Counter(record.reply.error for record in due if record.reply.error)
        notes += [f"{count} times: {text[:160]}" for text, count in errors.most_common(2)]
    per_chunk = _tokens_per_chunk(due)
    if per_chunk is not None and abs(per_chunk - 1) > 0.02 and due[0].kind is RequestKind.TEXT:
        notes.append(f"{per_chunk:.2f} tokens per chunk: ITL is the gap between chunks, not tokens")
    together = _share_together(due)
    if together > _TOGETHER_NOTED:
        notes.append(
            f"{together:.0%} of the chunks came together with the one before: the server sends in "
            "bursts; judge by TPOT and by the high quantiles of ITL"
        )
    return tuple(notes)


def _share_together(due: Sequence[RequestRecord]) -> float:
    """Share of gaps that are 0 because one read brought several chunks."""
    gaps = [
        gap
        for record in due
        if record.is_ok and record.kind is RequestKind.TEXT
        for gap in record.text_timing().itl_s
    ]
    return sum(gap == 0 for gap in gaps) / len(gaps) if gaps else 0.0


def _interference(
    traffic: Traffic, mixed: PlayedPhase, apart: PlayedPhase, rng: np.random.Generator
) -> list[Interference]:
    together = latency_groups(mixed.due(traffic.name), traffic.kind)
    by_itself = latency_groups(apart.due(traffic.name), traffic.kind)
    found = []
    for name in _COMPARED[traffic.kind]:
        if name not in together or name not in by_itself:
            continue
        num = min(sum(map(len, side)) for side in (together[name], by_itself[name]))
        for label, q in (("p50", 0.5), ("p99", 0.99)):
            ratio = interference(together[name], by_itself[name], q, rng)
            if ratio is not None:
                found.append(
                    Interference(
                        traffic=traffic.name, metric=name, quantile=label, ratio=ratio, num=num
                    )
                )
    return found


def _share_sum(
    mixed: PlayedPhase, pairs: Sequence[tuple[Traffic, PlayedPhase]], rng: np.random.Generator
) -> Estimate | None:
    """None unless every class was also measured alone and did something there."""
    if len(pairs) < len(mixed.traffic):
        return None
    together = [
        main_rate_batches(mixed.of(traffic.name), traffic.kind, mixed.window)
        for traffic, _ in pairs
    ]
    by_itself = [
        main_rate_batches(apart.of(traffic.name), traffic.kind, apart.window)
        for traffic, apart in pairs
    ]
    if not all(batches.any() for batches in by_itself):
        return None
    return share_sum(together, by_itself, rng)
