"""The points of a scaling law: one (parameters, tokens, loss) per trained model."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.track.stored_run import StoredRun, read_runs

LOSS = "loss_nats_per_token"
COLUMNS = ("parameters", "tokens", "loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPoint:
    """`loss` in nats per token; all three are positive."""

    parameters: float
    tokens: float
    loss: float
    source: str


def read_points(path: Path, loss_key: str = LOSS) -> tuple[ScalingPoint, ...]:
    """From a CSV with the columns parameters, tokens, loss, or from a folder of tracked runs.

    A run counts when its summary has `parameters`, `tokens` and `loss_key`.
    """
    if path.is_dir():
        return points_of_runs(read_runs(path), loss_key)
    return _csv_points(path)


def points_of_runs(runs: Sequence[StoredRun], loss_key: str = LOSS) -> tuple[ScalingPoint, ...]:
    """The finished runs that tell all three numbers."""
    found = []
    for run in runs:
        numbers = [run.number(key) for key in ("parameters", "tokens", loss_key)]
        if run.status == "finished" and None not in numbers:
            found.append(_point([number or 0.0 for number in numbers], run.id))
    if not found:
        keys = ", ".join(("parameters", "tokens", loss_key))
        raise ConfigError(f"none of {len(runs)} runs is finished with a summary of {keys}")
    return tuple(found)


def _csv_points(path: Path) -> tuple[ScalingPoint, ...]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise ConfigError(f"{path} lacks the columns {', '.join(missing)}; it needs {COLUMNS}")
    return tuple(
        _point([row[name] for name in COLUMNS], f"{path.name} line {number}")
        for number, row in enumerate(rows, start=2)
    )


def _point(numbers: Sequence[float | str], source: str) -> ScalingPoint:
    try:
        parameters, tokens, loss = (float(number) for number in numbers)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{source}: {list(numbers)} are not three numbers") from error
    if not all(math.isfinite(value) and value > 0 for value in (parameters, tokens, loss)):
        raise ConfigError(f"{source}: {[parameters, tokens, loss]} must be finite and above 0")
    return ScalingPoint(parameters=parameters, tokens=tokens, loss=loss, source=source)
