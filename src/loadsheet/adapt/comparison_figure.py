"""The picture of the comparison: how the losses fall, and what more denoise steps buy."""

from collections.abc import Mapping
from pathlib import Path

from loadsheet.adapt.chart import Panel, Points, write_chart
from loadsheet.adapt.comparison_facts import Facts
from loadsheet.adapt.comparison_runs import Outcome
from loadsheet.adapt.comparison_serving import steps_of
from loadsheet.adapt.comparison_training import losses_of
from loadsheet.errors import ConfigError


def write_figure(facts: Facts, path: Path) -> None:
    """Losses relative to their first value, so that both objectives share a scale; an SVG."""
    panels = [
        Panel(x_label="training step", y_label=f"{side} loss / first loss", lines=lines)
        for side, lines in (
            ("text", _relative_losses(facts.text.main)),
            ("image", _relative_losses(facts.image.main)),
        )
        if lines
    ]
    quality = {name: _style_by_steps(one) for name, one in facts.image.main.items()}
    lines = {name: points for name, points in quality.items() if points}
    if lines:
        panels.append(Panel(x_label="denoise steps", y_label="style score", lines=lines))
    if not panels:
        raise ConfigError("nothing to draw: no run logged its loss or tried numbers of steps")
    write_chart(path, "Adapting an encoder and a denoiser", panels)


def _relative_losses(main: Mapping[str, Outcome]) -> dict[str, Points]:
    known = {name: losses_of(one) for name, one in main.items()}
    return {name: _relative(losses) for name, losses in known.items() if losses}


def _relative(losses: list[tuple[int, float]]) -> Points:
    """Smoothed over a tenth of the logged values: single losses of a denoiser jump."""
    values = [loss for _, loss in losses]
    width = max(1, len(values) // 10)
    windows = [values[max(0, index + 1 - width) : index + 1] for index in range(len(values))]
    smooth = [sum(window) / len(window) for window in windows]
    return [(step, value / values[0]) for (step, _), value in zip(losses, smooth, strict=True)]


def _style_by_steps(outcome: Outcome) -> Points:
    return [(num_steps, style) for num_steps, (style, _) in steps_of(outcome).items()]
