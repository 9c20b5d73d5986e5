"""A phase of a model's work priced on a device: totals, side of the ridge, time by family."""

from dataclasses import dataclass, replace

from loadsheet.cost.operator import Operator, OpKind, total
from loadsheet.cost.seconds import bound_seconds, seconds
from loadsheet.cost.stack import Pass
from loadsheet.hardware.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyCost:
    """One family of operators within one run of a phase. `host` and `all-reduce` have time but
    neither FLOPs nor bytes of device memory."""

    family: str
    params: int
    flops: int
    num_bytes: int
    seconds: float
    bound_s: float
    share: float  # of the phase's time
    side: str  # of the ridge: compute or memory; host or link where it is neither

    @property
    def intensity(self) -> float:
        return self.flops / self.num_bytes if self.num_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`seconds` is one run as the software is expected to take it, `bound_s` the bare roofline;
    the model runs it `repeats` times per request. Amounts are of all devices together."""

    name: str
    repeats: int
    params: int
    flops: int
    num_bytes: int
    launches: int
    seconds: float
    bound_s: float
    ridge: float
    families: tuple[FamilyCost, ...]

    @property
    def intensity(self) -> float:
        return self.flops / self.num_bytes if self.num_bytes else 0.0

    @property
    def bound_by(self) -> str:
        """The side of the ridge on which the phase as a whole lies."""
        return _side(self.intensity, self.ridge)

    @property
    def total_seconds(self) -> float:
        return self.repeats * self.seconds


def phase(name: str, repeats: int, run: Pass, device: Device) -> Phase:
    sums = total(run.operators)
    ridge = device.ridge(max(run.operators, key=lambda op: op.flops * op.count).dtype)
    families = _shared([*_families(run, device, ridge), *_beside(run, device)])
    return Phase(
        name=name,
        repeats=repeats,
        params=sums.params,
        flops=sums.flops,
        num_bytes=sums.bytes_read + sums.bytes_written,
        launches=sums.launches,
        seconds=sum(family.seconds for family in families),
        bound_s=bound_seconds(run.operators, device) / run.num_devices,
        ridge=ridge,
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
_MLP_WORDS = (
    "mlp",
    "ff.",
    "ffn",
    "feed_forward",
    "ff_context",
    "densereludense",
    "channelwise",
    "fc1",
    "fc2",
    "intermediate.dense",
    "layer.*.output.dense",
)
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


def _families(run: Pass, device: Device, ridge: float) -> list[FamilyCost]:
    groups: dict[str, list[tuple[Operator, Operator]]] = {}
    for whole, shard in zip(run.operators, run.shards, strict=True):
        groups.setdefault(family_of(whole), []).append((whole, shard))
    rows = []
    for name, pairs in groups.items():
        wholes = [whole for whole, _ in pairs]
        sums = total(wholes)
        num_bytes = sums.bytes_read + sums.bytes_written
        rows.append(
            FamilyCost(
                family=name,
                params=sums.params,
                flops=sums.flops,
                num_bytes=num_bytes,
                seconds=seconds((shard for _, shard in pairs), device, run.kernels),
                bound_s=bound_seconds(wholes, device) / run.num_devices,
                share=0.0,
                side=_side(sums.flops / num_bytes if num_bytes else 0.0, ridge),
            )
        )
    return rows


def _beside(run: Pass, device: Device) -> list[FamilyCost]:
    """Time that no kernel takes: links, the host between passes, waiting for the host."""
    kernels_s = seconds(run.shards, device, run.kernels)
    waits = {
        "all-reduce": ("link", run.exchange_s),
        "host": ("host", run.host_s),
        "waiting for launches": ("host", max(run.issue_s - kernels_s, 0.0)),
    }
    return [
        FamilyCost(
            family=name,
            params=0,
            flops=0,
            num_bytes=0,
            seconds=taken_s,
            bound_s=0.0,
            share=0.0,
            side=side,
        )
        for name, (side, taken_s) in waits.items()
        if taken_s
    ]


def _shared(rows: list[FamilyCost]) -> tuple[FamilyCost, ...]:
    """With their shares of the phase, the longest first."""
    whole = sum(row.seconds for row in rows) or 1.0
    shared = (replace(row, share=row.seconds / whole) for row in rows)
    return tuple(sorted(shared, key=lambda row: -row.seconds))


def _side(intensity: float, ridge: float) -> str:
    return "compute" if intensity >= ridge else "memory"
