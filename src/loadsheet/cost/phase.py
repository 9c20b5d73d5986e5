"""A phase of a model's work priced on a device: totals, side of the ridge, time by family."""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.cost.operator import Operator, OpKind, total
from loadsheet.cost.seconds import Calibration, operator_seconds
from loadsheet.hardware.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyCost:
    """One family of operators within one run of a phase."""

    family: str
    params: int
    flops: int
    num_bytes: int
    seconds: float
    share: float  # of the phase's time


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`seconds` is one run; the model runs it `repeats` times per request."""

    name: str
    repeats: int
    params: int
    flops: int
    num_bytes: int
    launches: int
    seconds: float
    ridge: float
    families: tuple[FamilyCost, ...]

    @property
    def intensity(self) -> float:
        return self.flops / self.num_bytes if self.num_bytes else 0.0

    @property
    def bound_by(self) -> str:
        return "compute" if self.intensity >= self.ridge else "memory"

    @property
    def total_seconds(self) -> float:
        return self.repeats * self.seconds


def phase(
    name: str,
    repeats: int,
    walked: list[Operator],
    device: Device,
    calibration: Calibration,
) -> Phase:
    sums = total(walked)
    families = _families(walked, device, calibration)
    dtype = max(walked, key=lambda op: op.flops * op.count).dtype
    return Phase(
        name=name,
        repeats=repeats,
        params=sums.params,
        flops=sums.flops,
        num_bytes=sums.bytes_read + sums.bytes_written,
        launches=sums.launches,
        seconds=sum(family.seconds for family in families),
        ridge=device.ridge(dtype),
        families=families,
    )


_FAMILIES = {
    OpKind.CONV: "convolutions",
    OpKind.ATTENTION: "attention",
    OpKind.GROUPED_GEMM: "experts",
    OpKind.SCAN: "scan",
    OpKind.NORM: "norms",
    OpKind.POINTWISE: "element-wise",
    OpKind.EMBEDDING: "embeddings",
}
_MLP_WORDS = ("mlp", "ff.", "ffn", "feed_forward", "ff_context", "densereludense", "channelwise")
_ATTENTION_WORDS = ("attn", "attention", "qkv", "kv_", "q_")


def family_of(op: Operator) -> str:
    """Where a reader would look for it: attention's projections, the MLP, the head, …"""
    if op.kind is not OpKind.GEMM:
        return _FAMILIES[op.kind]
    name = op.name.lower()
    if any(word in name for word in _MLP_WORDS):
        return "mlp"
    if any(word in name for word in _ATTENTION_WORDS):
        return "attention projections"
    return "logits" if op.name in ("lm_head", "embed_out") else "other projections"


def _families(
    walked: Iterable[Operator], device: Device, calibration: Calibration
) -> tuple[FamilyCost, ...]:
    groups: dict[str, list[Operator]] = {}
    for op in walked:
        groups.setdefault(family_of(op), []).append(op)
    times = {
        name: sum(op.count * operator_seconds(op, device, calibration) for op in ops)
        for name, ops in groups.items()
    }
    whole = sum(times.values()) or 1.0
    rows = []
    for name, ops in groups.items():
        sums = total(ops)
        rows.append(
            FamilyCost(
                family=name,
                params=sums.params,
                flops=sums.flops,
                num_bytes=sums.bytes_read + sums.bytes_written,
                seconds=times[name],
                share=times[name] / whole,
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.seconds))
