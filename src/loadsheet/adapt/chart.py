"""Small line charts of measurements: one panel per quantity, one line per method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """`lines`: name → (x, y) points. Logarithmic axes show powers as straight lines."""

    x_label: str
    y_label: str
    lines: Mapping[str, Points]
    is_log_x: bool = False
    is_log_y: bool = False


def write_chart(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """An SVG with the panels side by side; the same numbers give the same file."""
    figure = Figure(figsize=(4.4 * len(panels), 3.6), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name, points in panel.lines.items():
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, label=name, marker="." if len(points) < 40 else None, linewidth=1.5)
        axes.set_xscale("log", base=2) if panel.is_log_x else axes.set_xlim(left=0)
        axes.set_yscale("log" if panel.is_log_y else "linear")
        axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    with rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):  # small, same each time
        figure.savefig(path, metadata={"Date": None})
