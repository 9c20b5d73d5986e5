"""`loadsheet compare …`: two ways to do the same thing, side by side.

loadsheet compare attention lstm linear     mechanisms, then numbers from 128 to 128k tokens
loadsheet compare latent pixel              one U-Net on latents and on pixels
loadsheet compare standard flash xformers   three kernels for the same attention
loadsheet compare sdxl pixart-sigma         any models: a U-Net and a DiT at equal FLOPs
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from loadsheet.cli.explain import DEFAULT_DEVICE, find_entry
from loadsheet.cli.table import amount, table
from loadsheet.cost import picture_comparison, sequence_comparison
from loadsheet.cost.attention_memory import AttentionMemory, Kernel, attention_memory
from loadsheet.cost.chart import Chart
from loadsheet.cost.explain import Explanation, Work, explain
from loadsheet.cost.picture_comparison import SpaceComparison, compare_spaces
from loadsheet.cost.seconds import Calibration
from loadsheet.cost.sequence_comparison import (
    LENGTHS,
    MECHANISMS,
    SequenceComparison,
    compare_sequences,
)
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import of
from loadsheet.units import format_bytes, format_seconds

_SPACES = {"latent", "pixel"}
_SHOWN_LENGTHS = (128, 1024, 8192, 131072)
_SRAM_BYTES = 192 * 1024  # shared memory of one A100 multiprocessor, as in FlashAttention's paper


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sides", nargs="+", metavar="WHAT", help="two or more things of one kind")
    parser.add_argument("--device", default=DEFAULT_DEVICE, help="default: %(default)s")
    parser.add_argument("--hidden", type=int, default=4096, help="width of mixers (%(default)s)")
    parser.add_argument("--layers", type=int, default=32, help="depth of mixers (%(default)s)")
    parser.add_argument("--model", default="sd-1.5", help="U-Net for latent and pixel")
    parser.add_argument("--head-dim", type=int, default=64, help="for attention kernels")
    parser.add_argument("--sram-bytes", type=int, default=_SRAM_BYTES, help="on-chip memory")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--json", action="store_true", help="machine-readable, SI units")


def run(arguments: argparse.Namespace) -> int:
    sides: list[str] = arguments.sides
    device = DeviceCatalog().find(arguments.device)
    if set(sides) <= set(MECHANISMS):
        report = _sequences(sides, device, (arguments.hidden, arguments.layers))
    elif set(sides) <= _SPACES:
        report = _spaces(arguments.model, device)
    elif set(sides) <= {*Kernel}:
        report = _kernels(sides, arguments.head_dim, arguments.sram_bytes)
    else:
        report = _models(sides, device)
    text, chart, data = report
    if arguments.plot:
        arguments.plot.write_text(chart.svg(), encoding="utf-8")
    sys.stdout.write(json.dumps(data) + "\n" if arguments.json else text + "\n")
    return 0


Report = tuple[str, Chart, object]


def _sequences(names: Sequence[str], device: Device, size: tuple[int, int]) -> Report:
    """First the mechanism, then the contrast, then the trade-off."""
    result = compare_sequences(names, device, Calibration(), size)
    chart = Chart(
        title=f"Prefill of one sequence on {device.name} (roofline)",
        x_label="tokens",
        y_label="seconds",
        lines={
            name: [(length, result.at(name, length).prefill_s) for length in LENGTHS]
            for name in names
        },
        marks={},
    )
    mechanisms = "\n".join(f"{name:10s} {MECHANISMS[name]}" for name in names)
    said = sequence_comparison.sentences(result)
    text = "\n\n".join(
        [
            f"Token mixers of width {size[0]}, {size[1]} layers, no MLPs, on {device.name}",
            mechanisms,
            _sequence_table(result, names),
            "\n".join(f"- {line}" for line in said),
        ]
    )
    return text, chart, {**asdict(result), "sentences": said}


def _sequence_table(result: SequenceComparison, names: Sequence[str]) -> str:
    rows = []
    for length in _SHOWN_LENGTHS:
        for name in names:
            cost = result.at(name, length)
            rows.append(
                [
                    f"{length:,} {name}",
                    amount(cost.prefill_flops),
                    format_seconds(cost.prefill_s),
                    f"{100 * cost.utilisation:.1f} %",
                    f"{cost.serial_steps:,}",
                    format_seconds(cost.decode_s),
                    format_bytes(cost.state_bytes),
                ]
            )
    headers = ["tokens", "prefill FLOPs", "prefill", "of peak", "serial", "next token", "state"]
    return table(headers, rows)


def _spaces(model: str, device: Device) -> Report:
    result = compare_spaces(Catalog().find(model), device, Calibration())
    spaces = ("latent", "pixel")
    chart = Chart(
        title=f"One denoise step of {result.model}'s U-Net",
        x_label="pixels per side",
        y_label="FLOPs",
        lines={
            space: [(cost.side, cost.step_flops) for cost in result.costs if cost.space == space]
            for space in spaces
        },
        marks={},
    )
    said = picture_comparison.sentences(result)
    text = _space_table(result) + "\n\n" + "\n".join(f"- {line}" for line in said)
    return text, chart, {**asdict(result), "sentences": said}


def _space_table(result: SpaceComparison) -> str:
    rows = [
        [
            f"{cost.side}x{cost.side} {cost.space}",
            amount(cost.step_flops),
            format_seconds(cost.step_s),
            format_bytes(cost.peak_bytes),
            amount(cost.once_flops) if cost.once_flops else "",
            format_seconds(cost.image_s(result.steps)),
        ]
        for cost in result.costs
    ]
    headers = ["size", "step FLOPs", "step", "activations", "decoder", f"{result.steps} steps"]
    return table(headers, rows)


def _kernels(names: Sequence[str], head_dim: int, sram_bytes: int) -> Report:
    costs: dict[str, list[tuple[int, AttentionMemory]]] = {
        name: [
            (length, attention_memory(Kernel(name), length, head_dim, sram_bytes))
            for length in LENGTHS
        ]
        for name in names
    }
    rows = [
        [
            f"{length:,} {name}",
            amount(cost.flops),
            format_bytes(cost.moved_bytes),
            f"{cost.flops / cost.moved_bytes:.1f}",
            format_bytes(cost.held_bytes),
        ]
        for index, length in enumerate(LENGTHS)
        if length in _SHOWN_LENGTHS
        for name, series in costs.items()
        for cost in [series[index][1]]
    ]
    headers = ["tokens", "FLOPs", "moved", "FLOP/B", "held"]
    chart = Chart(
        title=f"Memory traffic of one head of width {head_dim}",
        x_label="tokens",
        y_label="bytes",
        lines={
            name: [(length, cost.moved_bytes) for length, cost in series]
            for name, series in costs.items()
        },
        marks={},
    )
    title = f"One head of width {head_dim}, {format_bytes(sram_bytes)} on chip, 16-bit values"
    data = {
        name: [{"tokens": length, **asdict(cost)} for length, cost in series]
        for name, series in costs.items()
    }
    return f"{title}\n\n{table(headers, rows)}", chart, data


def _models(names: Sequence[str], device: Device) -> Report:
    if len(names) < 2:
        raise ConfigError(
            f"{names[0]!r} alone has nothing beside it; name a second model, or compare "
            "attention lstm, latent pixel, or standard flash"
        )
    shown = [explain(find_entry(name), device, of("bf16"), Work()) for name in names]
    rows = [_model_row(one) for one in shown]
    headers = [
        "model",
        "params",
        "FLOPs",
        "bytes",
        "FLOP/B",
        "launches",
        "request",
        "memory",
        "conv",
        "attn",
    ]
    flops = {one.model: _flops(one) for one in shown}
    first = shown[0]
    said = [
        f"One {first.model} request takes {flops[first.model] / flops[one.model]:.3g} times the "
        f"FLOPs and {first.seconds / one.seconds:.3g} times the roofline time of {one.model}."
        for one in shown[1:]
    ]
    chart = Chart(
        title=f"One request each on {device.name} (roofline)",
        x_label="FLOP per byte",
        y_label="seconds",
        lines={},
        marks={one.model: (_flops(one) / _moved(one), one.seconds) for one in shown},
    )
    text = table(headers, rows) + "\n\n" + "\n".join(f"- {line}" for line in said)
    return text, chart, {"models": [asdict(one) for one in shown], "sentences": said}


def _model_row(one: Explanation) -> list[str]:
    share = {"convolutions": 0.0, "attention": 0.0}
    for part in one.phases:
        for row in part.families:
            if row.family in share:
                share[row.family] += row.seconds * part.repeats / one.seconds
    return [
        one.model,
        amount(one.params),
        amount(_flops(one)),
        amount(_moved(one), "B"),
        f"{_flops(one) / _moved(one):.0f}",
        f"{sum(part.launches * part.repeats for part in one.phases):,}",
        format_seconds(one.seconds),
        format_bytes(one.ledger.total_bytes()),
        f"{100 * share['convolutions']:.0f} %",
        f"{100 * share['attention']:.0f} %",
    ]


def _flops(one: Explanation) -> int:
    return sum(part.flops * part.repeats for part in one.phases)


def _moved(one: Explanation) -> int:
    return sum(part.num_bytes * part.repeats for part in one.phases)
