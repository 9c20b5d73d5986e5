"""What `loadsheet explain` prints: an explanation as aligned tables."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from loadsheet.cli.table import amount, table
from loadsheet.cost.chart import Chart
from loadsheet.cost.explain import Explanation, walked
from loadsheet.cost.ledger import Ledger
from loadsheet.cost.module_cost import formula, module_costs
from loadsheet.cost.phase import Phase
from loadsheet.cost.train import TrainStep
from loadsheet.specs.catalog import Entry
from loadsheet.units import format_bytes, format_seconds


def headline(shown: Explanation) -> str:
    device = shown.device
    facts = [
        f"{shown.model} on {device.name}, {shown.precision.weights}, batch {shown.work.batch}",
        f"{amount(shown.params)} parameters; roofline (a lower bound on time)",
    ]
    if device.from_memory:
        facts.append("note: some of this device's figures were never checked against its page")
    missing = shown.ledger.total_bytes() - device.memory_bytes
    if missing > 0:
        facts.append(f"note: {format_bytes(missing)} more than this device holds")
    return "\n".join(facts)


def phase_table(shown: Explanation) -> str:
    rows: list[list[str]] = []
    for part in shown.phases:
        rows.append(_phase_row(part, shown.seconds))
        rows += [
            [
                f"  {row.family}",
                "",
                amount(row.params),
                amount(row.flops),
                amount(row.num_bytes, "B"),
                f"{row.flops / row.num_bytes:.1f}" if row.num_bytes else "",
                "",
                format_seconds(row.seconds),
                f"{100 * row.share * part.total_seconds / shown.seconds:.1f} %",
            ]
            for row in part.families
        ]
    headers = [
        "phase",
        "runs",
        "params",
        "FLOPs",
        "bytes",
        "FLOP/B",
        "bound by",
        "one run",
        "share",
    ]
    return table(headers, rows)


def memory_table(ledger: Ledger) -> str:
    rows = [
        [f"{line.owner} {line.part}".strip(), f"{line.num_bytes:,}", format_bytes(line.num_bytes)]
        for line in ledger.lines
    ]
    whole = ledger.total_bytes()
    return table(
        ["memory owner", "bytes", ""], [*rows, ["total", f"{whole:,}", format_bytes(whole)]]
    )


_FACTS = {
    "ttft_s": ("time to first token", format_seconds),
    "tpot_s": ("time per output token", format_seconds),
    "tokens_per_s": ("output tokens per second", lambda value: f"{value:,.0f}"),
    "s_per_image": ("seconds per image", format_seconds),
    "images_per_s": ("images per second", lambda value: f"{value:.3g}"),
    "kv_bytes_per_token": ("KV bytes per token", lambda value: f"{value:,.0f}"),
    "largest_batch": ("largest batch at this length", lambda value: f"{value:,.0f}"),
    "largest_context": ("largest context at this batch", lambda value: f"{value:,.0f}"),
    "concurrent_images": ("images at once", lambda value: f"{value:,.0f}"),
}


def fits_text(shown: Explanation) -> str:
    rows = [[_FACTS[key][0], _FACTS[key][1](value)] for key, value in shown.facts.items()]
    rows.append(["whole request", format_seconds(shown.seconds)])
    rows.append(["energy at full power (estimate)", f"{shown.energy_j:.3g} J"])
    if shown.usd is not None:
        rows.append(["dollars at the low price (estimate)", f"{shown.usd:.3g}"])
    return table(["result", "value"], rows)


def difference(base: Explanation, shown: Explanation, changes: Sequence[str]) -> str:
    rows = [
        _changed("parameters", base.params, shown.params, amount),
        _changed("request", base.seconds, shown.seconds, format_seconds),
        _changed("memory", base.ledger.total_bytes(), shown.ledger.total_bytes(), format_bytes),
        _changed("bytes moved", _moved(base), _moved(shown), amount),
    ]
    if base.usd and shown.usd:
        change = f"{100 * (shown.usd / base.usd - 1):+.1f} %"
        rows.append(["dollars", f"{base.usd:.3g}", f"{shown.usd:.3g}", change])
    return table([f"with {', '.join(changes)}", "before", "after", "change"], rows)


def module_table(entry: Entry, shown: Explanation) -> str:
    lines = []
    for step, ops in walked(entry, shown.work, shown.precision):
        rows = [
            [
                row.path,
                str(row.count),
                amount(row.params),
                amount(row.flops),
                amount(row.num_bytes, "B"),
            ]
            for row in module_costs(ops)
        ]
        lines.append(table([f"{step.name}: module", "runs", "params", "FLOPs", "bytes"], rows))
    return "\n\n".join(lines)


def formula_list(entry: Entry, shown: Explanation) -> str:
    lines = []
    for step, ops in walked(entry, shown.work, shown.precision):
        lines.append(f"{step.name}:")
        lines += [f"  {op.name} (x{op.count}): {formula(op)}" for op in ops if op.flops]
    return "\n".join(lines)


def train_text(shown: Explanation, step: TrainStep) -> str:
    rows = [
        ["forward", amount(step.forward_flops, "FLOP")],
        ["backward", amount(step.backward_flops, "FLOP")],
        ["recomputation", amount(step.recompute_flops, "FLOP")],
        ["optimizer traffic", amount(step.optimizer_bytes, "B")],
    ]
    peak = shown.device.flops_per_s(shown.precision.compute)
    rows.append(["at peak arithmetic", format_seconds(step.flops / peak)])
    return (
        f"{shown.model}: one training step, batch {shown.work.batch}\n\n"
        f"{table(['part', 'amount'], rows)}\n\n{memory_table(step.ledger)}"
    )


def roofline(shown: Explanation) -> Chart:
    """Attainable FLOP/s over intensity, and where each phase lies on it."""
    device = shown.device
    peak = device.flops_per_s(shown.precision.compute)
    ridge = peak / device.memory_bytes_per_s
    marks = {
        f"{part.name}": (part.intensity, part.flops / part.seconds)
        for part in shown.phases
        if part.flops
    }
    edges = [ridge, *(x for x, _ in marks.values())]
    low, high = min(edges) / 4, max(edges) * 4
    roof = [(low, low * device.memory_bytes_per_s), (ridge, peak), (high, peak)]
    return Chart(
        title=f"{shown.model} on {device.name}",
        x_label="FLOP per byte",
        y_label="FLOP/s",
        lines={"roof": roof},
        marks=marks,
    )


def as_json(shown: Explanation) -> dict[str, object]:
    fields = asdict(shown)
    extra = {"seconds": shown.seconds, "energy_j": shown.energy_j, "usd": shown.usd}
    phases = [
        {**asdict(part), "intensity": part.intensity, "bound_by": part.bound_by}
        for part in shown.phases
    ]
    return {**fields, **extra, "phases": phases, "memory_bytes": shown.ledger.total_bytes()}


def _changed(name: str, before: float, after: float, show: Callable[[float], str]) -> list[str]:
    return [name, show(before), show(after), f"{100 * (after / before - 1):+.1f} %"]


def _phase_row(part: Phase, whole_s: float) -> list[str]:
    return [
        part.name,
        str(part.repeats),
        amount(part.params),
        amount(part.flops),
        amount(part.num_bytes, "B"),
        f"{part.intensity:.1f}",
        part.bound_by,
        format_seconds(part.seconds),
        f"{100 * part.total_seconds / whole_s:.1f} %",
    ]


def _moved(shown: Explanation) -> int:
    return sum(part.num_bytes * part.repeats for part in shown.phases)
