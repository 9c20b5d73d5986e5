"""Attention kernels side by side, by length, head size and on-chip memory."""

from collections.abc import Sequence
from dataclasses import asdict

from loadsheet.api.report import Comparison
from loadsheet.cost.chart import Chart
from loadsheet.cost.kernel_comparison import (
    KernelComparison,
    KernelCost,
    compare_kernels,
    sentences,
)
from loadsheet.hardware.device import Device
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds

_SHOWN = (128, 1024, 8192, 131072)


def kernel_report(
    names: Sequence[str], device: Device, head_dim: int, sram_bytes: int
) -> Comparison:
    result = compare_kernels(names, device, head_dim, sram_bytes)
    lengths = [cost for cost in result.by_length if cost.tokens in _SHOWN]
    body = "\n\n".join(
        [
            _rows("tokens", [(f"{cost.tokens:,}", cost) for cost in lengths]),
            "At 8,192 tokens, by width of the head:\n"
            + _rows("width", [(str(cost.head_dim), cost) for cost in result.by_head]),
            "At 8,192 tokens, by on-chip memory:\n"
            + _rows("on chip", [(format_bytes(cost.sram_bytes), cost) for cost in result.by_sram]),
        ]
    )
    return Comparison(
        title=f"One head of width {head_dim}, {format_bytes(sram_bytes)} on chip, 16-bit values; "
        f"time is the roofline bound on {device.name}",
        body=body,
        sentences=tuple(sentences(result)),
        chart=_chart(result, names),
        numbers=asdict(result),
    )


def _chart(result: KernelComparison, names: Sequence[str]) -> Chart:
    return Chart(
        title=f"Memory traffic of one head of width {result.head_dim}",
        x_label="tokens",
        y_label="bytes",
        lines={
            name: [
                (float(cost.tokens), float(cost.memory.moved_bytes))
                for cost in result.by_length
                if cost.memory.kernel == name
            ]
            for name in names
        },
        marks={},
    )


def _rows(what: str, costs: Sequence[tuple[str, KernelCost]]) -> str:
    rows = [
        [
            f"{value} {cost.memory.kernel}",
            amount(cost.memory.flops),
            format_bytes(cost.memory.moved_bytes),
            f"{cost.intensity:.1f}",
            format_bytes(cost.memory.held_bytes),
            format_seconds(cost.bound_s),
        ]
        for value, cost in costs
    ]
    return table([what, "FLOPs", "moved", "FLOP/B", "held", "bound"], rows)
