"""Costs per module path of the published class, and each operator's formula with its numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.cost.operator import Operator, OpKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCost:
    """`path` with `*` for a repeated index; amounts over all `count` runs."""

    path: str
    count: int
    params: int
    flops: int
    num_bytes: int


def module_costs(walked: Iterable[Operator]) -> list[ModuleCost]:
    """One row per module; a fused product is split by the columns its parts own."""
    rows: list[ModuleCost] = []
    for op in walked:
        parts = op.parts or ()
        whole = sum(part.columns for part in parts) or 1
        owner = op.name.rpartition(".")[0]
        shares = [(f"{owner}.{part.name}", part.columns / whole) for part in parts]
        for path, share in shares or [(op.name, 1.0)]:
            rows.append(
                ModuleCost(
                    path=path.strip("."),
                    count=op.count,
                    params=round(op.params * op.count * share),
                    flops=round(op.flops * op.count * share),
                    num_bytes=round(op.num_bytes * op.count * share),
                )
            )
    return rows


def formula(op: Operator) -> str:
    """`2·m·k·n = 2·512·4096·6144 = 25,769,803,776`, as in the papers; empty without FLOPs."""
    if not op.flops:
        return ""
    shape = op.attention
    if shape is not None:
        return (
            f"2·B·H·pairs·(d_qk+d_v) = 2·{shape.batch}·{shape.heads}·{shape.pairs:,}"
            f"·({shape.qk_dim}+{shape.value_dim}) = {op.flops:,}"
        )
    if op.kind is OpKind.CONV:
        columns = op.n * op.batch
        return f"2·pixels·window·c_out = 2·{op.m:,}·{op.k:,}·{columns:,} = {op.flops:,}"
    if op.kind is OpKind.GROUPED_GEMM:
        pairs = op.flops // (2 * op.n * op.k)
        return f"2·(tokens·active)·k·n = 2·{pairs:,}·{op.k:,}·{op.n:,} = {op.flops:,}"
    if op.kind is OpKind.SCAN:
        return f"state updates and reads = {op.flops:,}"
    many = f"{op.batch}·" if op.batch > 1 else ""
    return f"2·m·k·n = {many}2·{op.m:,}·{op.k:,}·{op.n:,} = {op.flops:,}"
