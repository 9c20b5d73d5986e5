"""What the HTML report draws: curves and timelines, thinned to what a page can show."""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

import numpy as np

from loadsheet.bench.latency import latency_groups
from loadsheet.bench.promise import Promise
from loadsheet.bench.record import RequestRecord
from loadsheet.bench.run import RunResult
from loadsheet.bench.summarize import PlayedPhase
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import Traffic

Json = dict[str, object]

_CURVE_POINTS = 160
_MAX_REQUESTS = 2000
_MAX_MARKS = 60_000
_CURVES = ("ttft_s", "tpot_s", "itl_s", "e2e_s", "time_to_image_s", "first_preview_s")


def report_data(result: RunResult) -> Json:
    return {
        "curves": [
            chart for traffic in result.workload.traffic for chart in _charts(result, traffic)
        ],
        "timelines": [_timeline(phase) for phase in reversed(result.phases)],
    }


def _charts(result: RunResult, traffic: Traffic) -> list[Json]:
    """One chart per metric with a curve per phase."""
    groups = {
        phase.name: latency_groups(phase.due(traffic.name), traffic.kind)
        for phase in result.phases
        if traffic in phase.traffic
    }
    target = _targets(result.facts.promises[traffic.name])
    charts: list[Json] = []
    for metric in _CURVES:
        curves = [
            {"phase": name, "points": _curve(value for group in found[metric] for value in group)}
            for name, found in groups.items()
            if metric in found
        ]
        if curves:
            charts.append(
                {
                    "traffic": traffic.name,
                    "kind": traffic.kind.value,
                    "metric": metric.removesuffix("_s"),
                    "target_ms": target.get(metric),
                    "curves": curves,
                }
            )
    return charts


def _targets(promise: Promise) -> dict[str, float]:
    slo = promise.slo
    if isinstance(slo, TextSLO):
        return {"ttft_s": slo.ttft_s * 1e3, "tpot_s": slo.tpot_s * 1e3}
    assert isinstance(slo, ImageSLO)
    return {"time_to_image_s": slo.deadline_s * 1e3}


def _curve(values_s: Iterable[float]) -> list[tuple[float, float]]:
    """(ms, share of values at or below), at most _CURVE_POINTS of them."""
    ordered = np.sort(np.fromiter(values_s, dtype=np.float64)) * 1e3
    picks = np.unique(np.linspace(0, len(ordered) - 1, _CURVE_POINTS).round().astype(int))
    return [(round(float(ordered[pick]), 4), (int(pick) + 1) / len(ordered)) for pick in picks]


def _timeline(phase: PlayedPhase) -> Json:
    """Requests as bars in lanes, times in seconds since the window began."""
    ordered = sorted(phase.records, key=lambda record: record.due_ns)
    shown = _within_marks(ordered[:_MAX_REQUESTS])
    return {
        "phase": phase.name,
        "window_s": phase.window.length_s,
        "num_requests": len(ordered),
        "classes": [
            {
                "traffic": traffic.name,
                "kind": traffic.kind.value,
                "requests": _bars(
                    [record for record in shown if record.traffic == traffic.name],
                    phase.window.start_ns,
                ),
            }
            for traffic in phase.traffic
        ],
    }


def _within_marks(records: Sequence[RequestRecord]) -> Sequence[RequestRecord]:
    total = 0
    for index, record in enumerate(records):
        total += len(record.reply.chunk_ns)
        if total > _MAX_MARKS:
            return records[:index]
    return records


def _bars(records: Sequence[RequestRecord], origin_ns: int) -> list[Json]:
    lanes = pack_lanes([(record.due_ns, record.ended_ns) for record in records])
    return [
        {
            "index": record.index,
            "lane": lane,
            "outcome": record.reply.outcome.value,
            "due": _seconds(record.due_ns - origin_ns),
            "end": _seconds(record.ended_ns - origin_ns),
            "marks": [_seconds(stamp - origin_ns) for stamp in record.reply.chunk_ns],
        }
        for record, lane in zip(records, lanes, strict=True)
    ]


def pack_lanes(spans: Sequence[tuple[int, int]]) -> list[int]:
    """The lowest free lane for each span, which come ordered by start; ends are exclusive."""
    busy: list[tuple[int, int]] = []  # (end, lane)
    free: list[int] = []
    lanes = []
    for start, end in spans:
        while busy and busy[0][0] <= start:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else len(busy)
        heappush(busy, (end, lane))
        lanes.append(lane)
    return lanes


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e9, 4)
