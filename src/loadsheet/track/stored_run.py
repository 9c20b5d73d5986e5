"""Runs read back from their folders, finished or not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.track.json_value import JSON, read_json
from loadsheet.track.run import ARTIFACTS, METRICS, RESERVED, RUN, SUMMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """What was logged at one step; `time_s` counts from the start of the run."""

    step: int
    time_s: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """`status` stays "running" for a run whose process was killed."""

    id: str
    folder: Path
    command: str
    name: str
    started_at: str
    commit: str | None
    status: str
    config: Mapping[str, JSON]
    environment: Mapping[str, JSON]
    metrics: tuple[MetricPoint, ...]
    summary: Mapping[str, JSON]
    artifacts: tuple[Path, ...]

    def metric_names(self) -> tuple[str, ...]:
        """In the order of their first appearance."""
        return tuple(dict.fromkeys(name for point in self.metrics for name in point.values))

    def series(self, metric: str) -> tuple[MetricPoint, ...]:
        """The points that hold `metric`, by step."""
        return tuple(point for point in self.metrics if metric in point.values)

    def number(self, key: str) -> float | None:
        """A number of the summary; None when it is absent or no number."""
        value = self.summary.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number else None  # type: ignore[arg-type]  # checked just above


def read_run(folder: Path) -> StoredRun:
    """Raises ConfigError for a folder that holds no run."""
    facts = read_json(folder / RUN)
    return StoredRun(
        id=folder.name,
        folder=folder,
        command=_text(facts, "command", folder),
        name=_text(facts, "name", folder),
        started_at=_text(facts, "started_at", folder),
        commit=str(facts["commit"]) if facts.get("commit") else None,
        status=_text(facts, "status", folder),
        config=_mapping(facts, "config", folder),
        environment=_mapping(facts, "environment", folder),
        metrics=_metrics(folder / METRICS),
        summary=read_json(folder / SUMMARY) if (folder / SUMMARY).exists() else {},
        artifacts=tuple(sorted((folder / ARTIFACTS).glob("*"))),
    )


def read_runs(folder: Path) -> list[StoredRun]:
    """All runs of a folder, oldest first."""
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}; name the folder of your runs with --runs")
    return [read_run(path.parent) for path in sorted(folder.glob(f"*/{RUN}"))]


def find_run(folder: Path, wanted: str) -> Path:
    """The folder of a run by its id, a unique part of it, `latest`, or a path."""
    if (Path(wanted) / RUN).is_file():
        return Path(wanted)
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}; name the folder of your runs with --runs")
    ids = sorted(path.parent.name for path in folder.glob(f"*/{RUN}"))
    if not ids:
        raise ConfigError(f"{folder} holds no run yet; `loadsheet train` and `adapt` write them")
    if wanted in ids:
        return folder / wanted
    matches = ids[-1:] if wanted == "latest" else [run_id for run_id in ids if wanted in run_id]
    if len(matches) == 1:
        return folder / matches[0]
    near = matches[:3] or get_close_matches(wanted, ids, n=3, cutoff=0.0)
    what = f"{len(matches)} runs match" if matches else "no run"
    raise ConfigError(f"{what} {wanted!r} in {folder}; the nearest: {', '.join(near)}")


def _metrics(path: Path) -> tuple[MetricPoint, ...]:
    """By step; what a resumed run logged again wins. A line torn by a kill is left out."""
    points: dict[int, MetricPoint] = {}
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    for number, line in enumerate(lines[:-1], start=1):  # the last one lacks its line feed
        point = _point(line, f"{path} line {number}")
        before = points.get(point.step)
        values = point.values if before is None else {**before.values, **point.values}
        points[point.step] = MetricPoint(step=point.step, time_s=point.time_s, values=values)
    return tuple(points[step] for step in sorted(points))


def _point(line: str, where: str) -> MetricPoint:
    try:
        fields = json.loads(line)
        values = {name: float(value) for name, value in fields.items() if name not in RESERVED}
        return MetricPoint(step=int(fields["step"]), time_s=float(fields["time_s"]), values=values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{where} is no line of metrics: {line[:80]!r}") from error


def _text(facts: Mapping[str, JSON], key: str, folder: Path) -> str:
    value = facts.get(key)
    if isinstance(value, str):
        return value
    raise ConfigError(f"{folder / RUN} lacks {key!r}; it is no run of this version")


def _mapping(facts: Mapping[str, JSON], key: str, folder: Path) -> Mapping[str, JSON]:
    value = facts.get(key)
    if isinstance(value, Mapping):
        return value
    raise ConfigError(f"{folder / RUN} lacks {key!r}; it is no run of this version")
