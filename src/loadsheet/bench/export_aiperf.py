"""A class in the shape of aiperf: `profile_export.jsonl` and `profile_export_aiperf.json`.

Their names with their definitions: from the actual send, `request_latency` to the last response,
`inter_token_latency` = (request latency − TTFT) / (n − 1) per request, gaps as
`inter_chunk_latency`. Read from the source of aiperf 0.13 (schema 1.4).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from loadsheet.bench.record import Outcome, RequestRecord
from loadsheet.bench.run import RunResult
from loadsheet.bench.summarize import PlayedPhase
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape
from loadsheet.workload.traffic import Traffic

Json = dict[str, object]
Values = dict[str, tuple[float, str]]  # tag: (value, unit)

_SCHEMA = "1.4"
_PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_NS_PER_MS = 1e6


def aiperf_record(result: RunResult, phase: PlayedPhase, record: RequestRecord) -> Json:
    """One line of profile_export.jsonl; times are Unix nanoseconds."""
    epoch_ns = result.epoch_unix_ns
    is_cut = record.reply.outcome is Outcome.CUT
    document: Json = {
        "metadata": {
            "session_num": record.index,
            "conversation_id": f"{record.traffic}_{record.index}",
            "turn_index": 0,
            "credit_issued_ns": epoch_ns + record.due_ns,
            "request_start_ns": epoch_ns + record.sent_ns,
            "request_end_ns": epoch_ns + record.ended_ns,
            "worker_id": "loadsheet",
            "record_processor_id": "loadsheet",
            "benchmark_phase": "profiling" if phase.window.holds(record.due_ns) else "warmup",
            "was_cancelled": is_cut,
        },
        "metrics": {},
        "error": None,
    }
    if record.is_ok:
        metrics: Json = {
            tag: {"value": value, "unit": unit} for tag, (value, unit) in _values(record).items()
        }
        if record.kind is RequestKind.TEXT:
            gaps_ms = [gap_s * 1e3 for gap_s in record.text_timing().itl_s]
            metrics["inter_chunk_latency"] = {"value": gaps_ms, "unit": "ms"}
        document["metrics"] = metrics
    else:
        document["error"] = {
            "code": record.reply.http_status,
            "type": record.reply.outcome.value,
            "message": record.reply.error or record.reply.outcome.value,
        }
    return document


def aiperf_summary(result: RunResult, phase: PlayedPhase, traffic: Traffic) -> Json:
    due = phase.due(traffic.name)
    ok = [record for record in due if record.is_ok]
    window_s = phase.window.length_s
    rows = [_values(record) for record in ok]
    tags = {tag: unit for row in rows for tag, (_, unit) in row.items()}
    distributions = {
        tag: _distribution([row[tag][0] for row in rows if tag in row], unit)
        for tag, unit in tags.items()
    }
    promise = result.facts.promises[traffic.name]
    num_good = sum(promise.is_kept(record) for record in ok)
    totals: Values = {
        "request_throughput": (len(ok) / window_s, "requests/sec"),
        "request_count": (len(ok), "requests"),
        "error_request_count": (len(due) - len(ok), "requests"),
        "good_request_count": (num_good, "requests"),
        "goodput": (num_good / window_s, "requests/sec"),
        "benchmark_duration": (window_s, "sec"),
        **_class_totals(ok, window_s, traffic.kind),
    }
    return {
        "schema_version": _SCHEMA,
        "metadata": _metadata(result, traffic),
        "was_cancelled": result.is_interrupted,
        "error_summary": _error_summary(due),
        "start_time": _iso(result.epoch_unix_ns + phase.window.start_ns),
        "end_time": _iso(result.epoch_unix_ns + phase.window.end_ns),
        **distributions,
        **{tag: {"unit": unit, "avg": value} for tag, (value, unit) in totals.items()},
    }


def _values(record: RequestRecord) -> Values:
    latency_ms = (record.ended_ns - record.sent_ns) / _NS_PER_MS
    if record.kind is RequestKind.IMAGE:
        return _image_values(record, latency_ms)
    stamps = record.reply.chunk_ns
    ttft_ms = (stamps[0] - record.sent_ns) / _NS_PER_MS
    values: Values = {
        "time_to_first_token": (ttft_ms, "ms"),
        "request_latency": (latency_ms, "ms"),
        "output_sequence_length": (record.num_tokens, "tokens"),
        "output_token_count": (record.num_tokens, "tokens"),
    }
    if record.reply.prompt_tokens is not None:
        values["input_sequence_length"] = (record.reply.prompt_tokens, "tokens")
    if record.num_tokens > 1 and len(stamps) > 1:
        itl_ms = (latency_ms - ttft_ms) / (record.num_tokens - 1)
        values["inter_token_latency"] = (itl_ms, "ms")
        values["output_token_throughput_per_user"] = (1e3 / itl_ms, "tokens/sec/user")
        values["time_to_second_token"] = ((stamps[1] - stamps[0]) / _NS_PER_MS, "ms")
    return values


def _image_values(record: RequestRecord, latency_ms: float) -> Values:
    num = record.reply.num_images
    values: Values = {
        "request_latency": (latency_ms, "ms"),
        "num_images": (num, "images"),
        "image_latency": (latency_ms / num, "ms/image"),
        "image_throughput": (1e3 * num / latency_ms, "images/sec"),
    }
    if isinstance(record.shape, ImageShape):
        values["num_inference_steps"] = (record.shape.num_steps, "steps")
    return values


def _class_totals(ok: Sequence[RequestRecord], window_s: float, kind: RequestKind) -> Values:
    if kind is RequestKind.IMAGE:
        return {}
    num_out = sum(record.num_tokens for record in ok)
    num_in = sum(record.reply.prompt_tokens or 0 for record in ok)
    return {
        "total_osl": (num_out, "tokens"),
        "total_output_tokens": (num_out, "tokens"),
        "total_isl": (num_in, "tokens"),
        "output_token_throughput": (num_out / window_s, "tokens/sec"),
        "total_token_throughput": ((num_in + num_out) / window_s, "tokens/sec"),
    }


def _distribution(values: Sequence[float], unit: str) -> Json:
    sample = np.asarray(values, dtype=np.float64)
    percentiles = np.percentile(sample, _PERCENTS)
    return {
        "unit": unit,
        "avg": float(sample.mean()),
        **{f"p{p}": float(value) for p, value in zip(_PERCENTS, percentiles, strict=True)},
        "min": float(sample.min()),
        "max": float(sample.max()),
        "std": float(sample.std()),
        "count": len(sample),
        "sum": float(sample.sum()),
    }


def _metadata(result: RunResult, traffic: Traffic) -> Json:
    return {
        "tool": "loadsheet bench",
        "model": result.facts.models[traffic.name],
        "url": result.target.url(traffic.kind),
        "random_seed": result.workload.seed,
    }


def _error_summary(due: Sequence[RequestRecord]) -> list[Json]:
    counts: dict[tuple[int | None, str], int] = {}
    for record in due:
        if not record.is_ok:
            key = (record.reply.http_status, record.reply.error or record.reply.outcome.value)
            counts[key] = counts.get(key, 0) + 1
    return [
        {"error_details": {"code": code, "message": message}, "count": count}
        for (code, message), count in counts.items()
    ]


def _iso(unix_ns: int) -> str:
    return datetime.fromtimestamp(unix_ns / 1e9, tz=UTC).isoformat()
