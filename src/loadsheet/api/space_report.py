"""Latent and pixel diffusion with one U-Net, by picture size."""

from dataclasses import asdict

from loadsheet.api.report import Comparison
from loadsheet.cost.chart import Chart
from loadsheet.cost.picture_comparison import SpaceComparison, compare_spaces, sentences
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds


def space_report(entry: Entry, device: Device) -> Comparison:
    result = compare_spaces(entry, device)
    lines = {
        space: [(cost.side, cost.step_flops) for cost in result.costs if cost.space == space]
        for space in ("latent", "pixel")
    }
    return Comparison(
        title=f"{result.model}'s U-Net on latents and on pixels, guidance off, on {device.name} "
        "(simulated)",
        body=_rows(result),
        sentences=tuple(sentences(result)),
        chart=Chart(
            title=f"One denoise step of {result.model}'s U-Net",
            x_label="pixels per side",
            y_label="FLOPs",
            lines={name: [(float(x), float(y)) for x, y in line] for name, line in lines.items()},
            marks={},
        ),
        numbers=asdict(result),
    )


def _rows(result: SpaceComparison) -> str:
    rows = [
        [
            f"{cost.side}x{cost.side} {cost.space}",
            amount(cost.step_flops),
            format_seconds(cost.step_s),
            format_bytes(cost.peak_bytes),
            amount(cost.once_flops) if cost.once_flops else "",
            format_seconds(cost.once_s) if cost.once_flops else "",
            format_seconds(cost.image_s(result.steps)),
        ]
        for cost in result.costs
    ]
    headers = ["size", "step FLOPs", "step", "activations", "VAE FLOPs", "VAE",
               f"{result.steps} steps and VAE"]  # fmt: skip
    return table(headers, rows)
