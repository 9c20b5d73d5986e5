"""The summary of a run as JSON: every metric with its unit, every number with its interval."""

from dataclasses import asdict

from loadsheet.bench.load import Window
from loadsheet.bench.overhead import Overhead
from loadsheet.bench.promise import Promise
from loadsheet.bench.run import RunResult
from loadsheet.bench.summary import (
    Attainment,
    ClassSummary,
    PhaseSummary,
    RunSummary,
)
from loadsheet.distribution import Distribution
from loadsheet.estimate import Estimate
from loadsheet.metrics import DEFINITIONS

SCHEMA_VERSION = 1

Json = dict[str, object]


def summary_document(result: RunResult) -> Json:
    """Everything about a run but its records."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "loadsheet bench",
        "is_interrupted": result.is_interrupted,
        "seed": result.workload.seed,
        "epoch_unix_ns": result.epoch_unix_ns,
        "environment": result.environment,
        "server": {
            **{name: value for name, value in asdict(result.target).items() if value},
            "versions": result.server,
        },
        "workload": workload_document(result),
        **_numbers(result.summary),
        "promises": {name: _promise(item) for name, item in result.facts.promises.items()},
        "definitions": {name: asdict(item) for name, item in DEFINITIONS.items()},
    }


def workload_document(result: RunResult) -> Json:
    """The workload as it was played; the rows of a trace are left to its file."""
    workload = result.workload
    return {
        "name": workload.name,
        "run": asdict(workload.run),
        "token_line": asdict(result.token_line),
        "traffic": [
            {
                "kind": traffic.kind.value,
                **{
                    key: _without_rows(value)
                    for key, value in asdict(traffic).items()
                    if value is not None
                },
            }
            for traffic in workload.traffic
        ],
    }


def _without_rows(value: object) -> object:
    if isinstance(value, dict) and "rows" in value:
        rows = value["rows"]
        assert isinstance(rows, tuple)
        return {**value, "rows": len(rows)}
    return value


def _numbers(summary: RunSummary) -> Json:
    return {
        "phases": [_phase(phase) for phase in summary.phases],
        "interference": [
            {
                "traffic": item.traffic,
                "metric": item.metric,
                "quantile": item.quantile,
                "num": item.num,
                "unit": "ratio",
                **estimate_document(item.ratio),
            }
            for item in summary.interference
        ],
        "share_sum": None
        if summary.share_sum is None
        else {"unit": "ratio", **estimate_document(summary.share_sum)},
    }


def _phase(phase: PhaseSummary) -> Json:
    return {
        "name": phase.name,
        "window": _window(phase.window),
        "classes": [_class(item) for item in phase.classes],
        "joint": {
            "goodput_rps": {"unit": "requests/s", "value": phase.joint_goodput_rps},
            "is_met": phase.is_joint_met,
        },
        "client": _overhead(phase.overhead),
    }


def _window(window: Window) -> Json:
    return {"unit": "ns", "start_ns": window.start_ns, "end_ns": window.end_ns}


def _overhead(overhead: Overhead) -> Json:
    return {
        **{
            name: {"unit": "share of a core" if name == "cpu_share" else "s", "value": value}
            for name, value in asdict(overhead).items()
        },
        "warnings": list(overhead.warnings()),
    }


def _class(item: ClassSummary) -> Json:
    return {
        "traffic": item.traffic,
        "kind": item.kind.value,
        "model": item.model,
        "counts": asdict(item.counts),
        "offered_rps": None
        if item.offered_rps is None
        else {"unit": "requests/s", "value": item.offered_rps},
        "latency": {entry.name: _distribution(entry) for entry in item.latency},
        "rates": {
            name: {"unit": DEFINITIONS[name].unit, **estimate_document(value)}
            for name, value in item.rates.items()
        },
        "slo": _attainment(item.attainment),
        "tokens_per_chunk": item.tokens_per_chunk,
        "notes": list(item.notes),
    }


def _distribution(item: Distribution) -> Json:
    return {
        "unit": DEFINITIONS[item.name].unit,
        "num": item.num,
        "mean": estimate_document(item.mean),
        "std": item.std,
        "min": item.minimum,
        "max": item.maximum,
        **{label: estimate_document(value) for label, value in item.quantiles.items()},
    }


def _attainment(item: Attainment) -> Json:
    return {
        "targets": asdict(item.slo),
        "origin": item.origin,
        "num_good": item.num_good,
        "slo_attainment": {"unit": "share", "value": item.share},
        "goodput_rps": {"unit": "requests/s", "value": item.goodput_rps},
        "is_met": item.is_met,
    }


def _promise(promise: Promise) -> Json:
    return asdict(promise)


def estimate_document(estimate: Estimate) -> Json:
    return {"value": estimate.value, "ci95": [estimate.low, estimate.high]}
