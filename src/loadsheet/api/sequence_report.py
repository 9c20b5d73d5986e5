"""Attention and recurrence: first the mechanism, then the contrast, then the trade-off."""

from collections.abc import Sequence
from dataclasses import asdict

from loadsheet.api.report import Comparison
from loadsheet.cost.chart import Chart
from loadsheet.cost.sequence_comparison import (
    LENGTHS,
    MECHANISMS,
    SequenceComparison,
    compare_sequences,
    sentences,
)
from loadsheet.hardware.device import Device
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds

_SHOWN = (128, 1024, 8192, 131072)


def sequence_report(names: Sequence[str], device: Device, size: tuple[int, int]) -> Comparison:
    """`size` is (hidden size, layers)."""
    result = compare_sequences(names, device, size)
    mechanisms = "\n".join(f"{name:10s} {MECHANISMS[name]}" for name in names)
    return Comparison(
        title=f"Token mixers of width {size[0]}, {size[1]} layers, no MLPs, on {device.name} "
        "(simulated)",
        body=f"{mechanisms}\n\n{_rows(result, names)}",
        sentences=tuple(sentences(result)),
        chart=_chart(result, names),
        numbers=asdict(result),
    )


def _chart(result: SequenceComparison, names: Sequence[str]) -> Chart:
    prefill = {
        f"{name}, prompt": [(length, result.at(name, length).prefill_s) for length in LENGTHS]
        for name in names
    }
    decode = {
        f"{name}, one token": [(length, result.at(name, length).decode_s) for length in LENGTHS]
        for name in names
    }
    return Chart(
        title=f"One sequence on {result.device} (simulated)",
        x_label="tokens",
        y_label="seconds",
        lines=prefill,
        marks={},
        dashed=decode,
    )


def _rows(result: SequenceComparison, names: Sequence[str]) -> str:
    rows = [
        [
            f"{length:,} {name}",
            amount(cost.prefill_flops),
            format_seconds(cost.prefill_bound_s),
            format_seconds(cost.prefill_s),
            f"{100 * cost.utilisation:.1f} %",
            f"{cost.serial_steps:,}",
            format_seconds(cost.decode_s),
            format_bytes(cost.state_bytes),
        ]
        for length in _SHOWN
        for name in names
        for cost in [result.at(name, length)]
    ]
    headers = ["tokens", "prefill FLOPs", "roofline", "expected", "of peak", "serial",
               "next token", "state"]  # fmt: skip
    return table(headers, rows)
