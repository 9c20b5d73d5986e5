"""Whole requests side by side: models of one kind, or an LLM reply beside an image."""

from collections.abc import Sequence
from dataclasses import asdict

from loadsheet.api.report import Comparison
from loadsheet.cost.chart import Chart
from loadsheet.cost.explain import Explanation, explain
from loadsheet.cost.reply_comparison import sentences
from loadsheet.cost.work import Work
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.specs.precision import Precision
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds


def request_report(
    entries: Sequence[Entry], device: Device, precision: Precision, work: Work
) -> Comparison:
    shown = [explain(entry, device, precision, work) for entry in entries]
    return Comparison(
        title=f"One request each on {device.name}, {precision.weights}, batch {work.batch}; text: "
        f"{work.input_tokens} tokens in, {work.output_tokens} out (simulated)",
        body=_rows(shown),
        sentences=tuple(sentences(shown)),
        chart=Chart(
            title=f"Phases on {device.name}'s roofline (simulated)",
            x_label="FLOP per byte",
            y_label="FLOP/s",
            lines={"roof": _roof(shown)},
            marks={
                f"{one.model} {part.name}": (part.intensity, part.flops / part.seconds)
                for one in shown
                for part in one.phases
            },
        ),
        numbers={"models": [asdict(one) for one in shown]},
    )


def _roof(shown: Sequence[Explanation]) -> list[tuple[float, float]]:
    bandwidth = shown[0].device.memory_bytes_per_s
    parts = [part for one in shown for part in one.phases]
    ridge = max(part.ridge for part in parts)
    edges = [ridge, *(part.intensity for part in parts)]
    low, high = min(edges) / 4, max(edges) * 4
    return [(low, low * bandwidth), (ridge, ridge * bandwidth), (high, ridge * bandwidth)]


def _rows(shown: Sequence[Explanation]) -> str:
    headers = ["model", "params", "FLOPs", "bytes", "FLOP/B", "launches", "roofline", "expected",
               "memory", "energy", "$ low", "conv", "attn"]  # fmt: skip
    return table(headers, [_row(one) for one in shown])


def _row(one: Explanation) -> list[str]:
    share = {"convolutions": 0.0, "attention": 0.0}
    for part in one.phases:
        for row in part.families:
            if row.family in share:
                share[row.family] += row.seconds * part.repeats / one.seconds
    cost = one.bill("request")
    return [
        one.model,
        amount(one.params),
        amount(one.flops),
        amount(one.num_bytes, "B"),
        f"{one.flops / one.num_bytes:.0f}",
        f"{sum(part.launches * part.repeats for part in one.phases):,}",
        format_seconds(one.bound_s),
        format_seconds(one.seconds),
        format_bytes(one.ledger.total_bytes()),
        amount(cost.energy_j, "J"),
        "" if cost.low_usd is None else f"{cost.low_usd:.3g}",
        f"{100 * share['convolutions']:.0f} %",
        f"{100 * share['attention']:.0f} %",
    ]
