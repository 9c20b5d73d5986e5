"""Finer than a phase: a row per module path, and every operator's formulas with their numbers."""

from loadsheet.cost.explain import Explanation
from loadsheet.cost.formula import bound_formula, bytes_formula, formula, kv_formula
from loadsheet.cost.module_cost import module_costs
from loadsheet.cost.work import walked
from loadsheet.specs.catalog import Entry
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.table import amount, table


def module_table(entry: Entry, shown: Explanation) -> str:
    """Paths as in the published class, `*` for a repeated index; sums over all runs."""
    tables = []
    for step, ops in walked(entry, shown.work, shown.precision):
        rows = [
            [
                row.path,
                f"{row.count:,}",
                amount(row.params) if row.params else "",
                amount(row.flops) if row.flops else "",
                amount(row.num_bytes, "B"),
            ]
            for row in module_costs(ops)
        ]
        headers = [f"{step.name}: module", "runs", "params", "FLOPs", "bytes"]
        tables.append(table(headers, rows))
    return "\n\n".join(tables)


def formula_list(entry: Entry, shown: Explanation) -> str:
    """One run of each operator: FLOPs, bytes, and the roofline of both."""
    lines = [
        "m rows times k inner by n columns; one run each, times the count in parentheses.",
    ]
    for step, ops in walked(entry, shown.work, shown.precision):
        lines += ["", f"{step.name}:"]
        for op in ops:
            if not op.num_bytes:
                continue
            lines.append(f"  {op.name} (x{op.count:,})")
            if op.flops:
                lines.append(f"    FLOPs   {formula(op)}")
            lines.append(f"    bytes   {bytes_formula(op)}")
            lines.append(f"    bound   {bound_formula(op, shown.device)}")
    if isinstance(entry.model, DecoderSpec):
        lines += ["", kv_formula(entry.model, shown.precision)]
    return "\n".join(lines)
