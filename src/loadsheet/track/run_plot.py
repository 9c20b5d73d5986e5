"""Curves of one metric of several runs in one picture (matplotlib, extra `train`)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from loadsheet.errors import ConfigError
from loadsheet.track.stored_run import StoredRun

Axis = Literal["step", "time_s"]

_X_LABELS = {"step": "step", "time_s": "time since the start (s)"}
_ENDINGS = (".svg", ".png")


def plot_runs(
    runs: Sequence[StoredRun], metric: str, path: Path, *, x: Axis = "step", log_y: bool = False
) -> None:
    """Write one line per run to `path`, an .svg or .png.

    Raises ConfigError when no run has the metric or a logarithm would hide values <= 0.
    """
    if path.suffix not in _ENDINGS:
        raise ConfigError(f"{path}: plots are written as {' or '.join(_ENDINGS)}")
    shown = [run for run in runs if run.series(metric)]
    if not shown:
        names = sorted({name for run in runs for name in run.metric_names()})
        raise ConfigError(f"no run logged {metric!r}; logged: {', '.join(names) or 'nothing'}")
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for run in shown:
        points = run.series(metric)
        values = [point.values[metric] for point in points]
        if log_y and min(values) <= 0:
            raise ConfigError(f"{run.id}: {metric} falls to {min(values):g}: no logarithm of it")
        at = [point.step if x == "step" else point.time_s for point in points]
        axes.plot(at, values, label=run.id, marker="." if len(at) < 2 else None)
    axes.set_yscale("log" if log_y else "linear")
    axes.set(xlabel=_X_LABELS[x], ylabel=metric)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", ncols=math.ceil(len(shown) / 12))
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
