"""Costs per module path of the published class."""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.cost.operator import Operator


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
