"""The points of a scaling law with the fitted curves, one colour per model size (matplotlib)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from loadsheet.errors import ConfigError
from loadsheet.track.scaling_law import ScalingLaw
from loadsheet.track.scaling_points import ScalingPoint


def plot_scaling(points: Sequence[ScalingPoint], law: ScalingLaw, path: Path) -> None:
    """Loss against tokens to `path`, an .svg or .png."""
    if path.suffix not in (".svg", ".png"):
        raise ConfigError(f"{path}: plots are written as .svg or .png")
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    tokens = np.geomspace(min(p.tokens for p in points), max(p.tokens for p in points), 60)
    for size in sorted({point.parameters for point in points}):
        own = [point for point in points if point.parameters == size]
        (line,) = axes.plot(tokens, [law.loss(size, count) for count in tokens], linewidth=1)
        axes.scatter(
            [point.tokens for point in own],
            [point.loss for point in own],
            color=line.get_color(),
            label=f"{size:.3g} parameters",
            s=18,
        )
    axes.axhline(law.E, color="grey", linestyle="--", linewidth=1, label=f"E = {law.E:.3f}")
    axes.set(xscale="log", yscale="log", xlabel="training tokens", ylabel="loss (nats per token)")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
