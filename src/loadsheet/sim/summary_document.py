"""A simulation's result as JSON: every metric with its unit, every number with its interval."""

from dataclasses import asdict

from loadsheet.distribution import Distribution
from loadsheet.estimate import Estimate
from loadsheet.metrics import DEFINITIONS
from loadsheet.sim.result import ClassResult, ReplicaResult, SimResult

SCHEMA_VERSION = 1

Json = dict[str, object]


def summary_document(result: SimResult) -> Json:
    """Everything but the records, the memory and the spans, which have files of their own."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "loadsheet simulate",
        "is_simulated": True,
        "seconds": result.seconds,
        "warmup_s": result.warmup_s,
        "end_s": result.end_s,
        "seed": result.seed,
        "joint": {
            "goodput_rps": {"unit": "requests/s", "value": result.joint_goodput_rps},
            "is_met": result.is_joint_met,
        },
        "energy_j": result.energy_j,
        "cost_usd": result.cost_usd,
        "classes": [_class(one) for one in result.classes],
        "itl_s": {model: _distribution(one) for model, one in result.itl.items()},
        "replicas": [_replica(one) for one in result.replicas],
    }


def _class(one: ClassResult) -> Json:
    return {
        "name": one.name,
        "kind": one.kind.value,
        "model": one.model,
        "counts": asdict(one.counts),
        "offered_rps": {"unit": "requests/s", "value": one.offered_rps},
        "goodput_rps": {"unit": "requests/s", **_estimate(one.goodput_rps)},
        "slo": {
            "targets": asdict(one.slo),
            "num_good": one.num_good,
            "slo_attainment": {"unit": "share", "value": one.attainment},
            "is_met": one.is_met,
        },
        "latency": {item.name: _distribution(item) for item in one.latency},
    }


def _replica(one: ReplicaResult) -> Json:
    return {
        "name": one.name,
        "group": one.group,
        "num_devices": one.num_devices,
        "up_s": one.up_s,
        "utilisation": one.utilisation,
        "busy_s": {str(kind): seconds for kind, seconds in one.busy_s.items()},
        "num_steps": one.num_steps,
        "num_failures": one.num_failures,
        "energy_j": one.energy_j,
        "cost_usd": one.cost_usd,
        "peak_blocks": _peaks([sample.used_blocks for sample in one.memory]),
        "peak_bytes": _peaks([sample.used_bytes for sample in one.memory]),
    }


def _peaks(samples: list[dict[str, int]]) -> dict[str, int]:
    names = samples[0] if samples else {}
    return {name: max(sample[name] for sample in samples) for name in names}


def _distribution(one: Distribution) -> Json:
    return {
        "unit": DEFINITIONS[one.name].unit,
        "num": one.num,
        "mean": _estimate(one.mean),
        "std": one.std,
        "min": one.minimum,
        "max": one.maximum,
        **{label: _estimate(value) for label, value in one.quantiles.items()},
    }


def _estimate(estimate: Estimate) -> Json:
    return {"value": estimate.value, "ci95": [estimate.low, estimate.high]}
