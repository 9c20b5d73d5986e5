"""Measured steps beside what the model says of them."""

import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from loadsheet.cost.rate_fit import step_of
from loadsheet.cost.step_shape import StepKind, TextShape
from loadsheet.hardware.calibration_record import Measurement
from loadsheet.units import format_seconds


def print_steps(
    console: Console, measured: Sequence[Measurement], expected: Sequence[float], word: str
) -> None:
    """`word` heads the expected seconds."""
    table = Table("step", "shape", box=None)
    for name in ("runs", "measured", word, "error"):
        table.add_column(name, justify="right")
    errors = []
    for one, seconds in zip(measured, expected, strict=True):
        errors.append(seconds / one.seconds - 1)
        table.add_row(
            one.kind,
            _shape(one),
            str(one.runs),
            format_seconds(one.seconds),
            format_seconds(seconds),
            f"{errors[-1]:+.0%}",
        )
    console.print(table)
    sizes = sorted(abs(error) for error in errors)
    worst = sizes[int(0.9 * (len(sizes) - 1))]
    console.print(f"absolute error: median {statistics.median(sizes):.0%}, p90 {worst:.0%}")


def _shape(one: Measurement) -> str:
    if one.kind not in [*StepKind]:
        return " ".join(f"{name}={value:g}" for name, value in one.shape.items())
    kind, shape = step_of(one)
    if isinstance(shape, TextShape):
        if shape.num_decodes:
            return f"{shape.num_decodes} decodes, {shape.decode_context_tokens} cached"
        return f"chunk of {shape.prefill_tokens} after {shape.prefill_context_tokens}"
    guided = " guided" if shape.is_guided and kind is StepKind.DENOISE else ""
    return f"{shape.batch} of {shape.width}x{shape.height}{guided}"
