"""A U-Net and a diffusion transformer at equal FLOPs."""

from dataclasses import asdict

from loadsheet.api.report import Comparison
from loadsheet.cost.backbone_comparison import (
    BackboneComparison,
    BackboneCost,
    compare_backbones,
    sentences,
)
from loadsheet.cost.chart import Chart
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Entry
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds


def backbone_report(unet: Entry, transformer: Entry, device: Device) -> Comparison:
    result = compare_backbones(unet, transformer, device)
    names = (result.unet, result.transformer)
    return Comparison(
        title=f"{result.unet} (U-Net) and {result.transformer} deepened to {result.layers} layers "
        f"(DiT), one picture without guidance, on {device.name} (simulated)",
        body=_rows(result),
        sentences=tuple(sentences(result)),
        chart=Chart(
            title=f"One denoise step, equal FLOPs at {result.side}x{result.side}",
            x_label="pixels per side",
            y_label="FLOPs",
            lines={
                name: [
                    (float(cost.side), float(cost.step.flops))
                    for cost in result.costs
                    if cost.name == name
                ]
                for name in names
            },
            marks={},
        ),
        numbers=asdict(result),
    )


def _rows(result: BackboneComparison) -> str:
    headers = ["size", "params", "FLOPs", "bytes", "FLOP/B", "roofline", "expected", "launches",
               "activations", "conv", "attention", "mlp"]  # fmt: skip
    return table(headers, [_row(cost) for cost in result.costs])


def _row(cost: BackboneCost) -> list[str]:
    step = cost.step
    share = {row.family: row.share for row in step.families}
    attention = share.get("attention", 0.0) + share.get("attention projections", 0.0)
    return [
        f"{cost.side}x{cost.side} {cost.name}",
        amount(cost.params),
        amount(step.flops),
        amount(step.num_bytes, "B"),
        f"{step.intensity:.0f}",
        format_seconds(step.bound_s),
        format_seconds(step.seconds),
        f"{step.launches:,}",
        format_bytes(cost.peak_bytes),
        f"{share.get('convolutions', 0.0):.0%}",
        f"{attention:.0%}",
        f"{share.get('mlp', 0.0):.0%}",
    ]
