"""How a decoder learned: its loss and its bits per byte held out, against tokens."""

from pathlib import Path

from loadsheet.adapt.chart import Panel, Points, write_chart
from loadsheet.track import StoredRun

_PREFIX = "bits_per_byte."


def write_curve(run: StoredRun, tokens_per_step: int, path: Path) -> None:
    """An SVG of a stored training."""
    sources = [name for name in run.metric_names() if name.startswith(_PREFIX)]
    panels = [
        Panel(
            x_label="tokens",
            y_label="training loss (nats per token)",
            lines={run.name: points(run, "loss", tokens_per_step)},
        ),
        Panel(
            x_label="tokens",
            y_label="held out (bits per byte)",
            lines={
                name.removeprefix(_PREFIX): points(run, name, tokens_per_step) for name in sources
            },
        ),
    ]
    write_chart(path, f"{run.name}: what it learned", panels)


def points(run: StoredRun, metric: str, tokens_per_step: int) -> Points:
    return [(point.step * tokens_per_step, point.values[metric]) for point in run.series(metric)]
