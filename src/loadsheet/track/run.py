"""One tracked run while it runs: a folder that is readable whenever the process dies.

<runs>/<YYYYMMDD-HHMMSS>-<name>/
    run.json        id, command, name, config, started_at, commit, environment, status
    metrics.jsonl   {"step": 40, "time_s": 12.5, "loss": 0.31} per line, flushed line by line
    summary.json    what the run found, merged as it becomes known
    artifacts/      files to keep
"""

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

from loadsheet.errors import ConfigError
from loadsheet.track.environment import describe_environment, source_commit
from loadsheet.track.json_value import JSON, encode, read_json, write_json
from loadsheet.track.sink import Sink, load_sinks

RUN = "run.json"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
ARTIFACTS = "artifacts"
RESERVED = ("step", "time_s")

Status = Literal["running", "finished", "failed"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class Run:
    """Open from `start_run` or `resume_run` to `finish`; a `with` block finishes it."""

    def __init__(self, folder: Path, facts: Mapping[str, JSON], sinks: Sequence[Sink]) -> None:
        self.folder = folder
        self.id = folder.name
        self._facts = dict(facts)
        self._sinks = tuple(sinks)
        self._summary = read_json(folder / SUMMARY) if (folder / SUMMARY).exists() else {}
        self._time_offset_s = _last_time_s(folder / METRICS)
        self._metrics = (folder / METRICS).open("a", encoding="utf-8")
        self._started_s = time.monotonic()
        self._is_open = True

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line of metrics.jsonl; on disk when this returns."""
        reserved = [name for name in metrics if name in RESERVED]
        if reserved or step < 0:
            what = f"metric name {reserved[0]!r} is taken" if reserved else f"step {step} is < 0"
            raise ConfigError(f"{self.id}: {what}; {', '.join(RESERVED)} are written for you")
        values = {name: float(value) for name, value in metrics.items()}
        time_s = round(self._time_offset_s + time.monotonic() - self._started_s, 3)
        self._metrics.write(encode({"step": step, "time_s": time_s, **values}) + "\n")
        self._metrics.flush()
        for sink in self._sinks:
            sink.log(step, values)

    def summary(self, values: Mapping[str, JSON]) -> None:
        """Merge `values` into summary.json; a key that is there is replaced."""
        self._summary = {**self._summary, **values}
        write_json(self.folder / SUMMARY, self._summary)
        for sink in self._sinks:
            sink.summary(values)

    def artifact(self, path: Path, name: str | None = None) -> Path:
        """Copy a file or folder into the run; returns where it lies now."""
        name = path.name if name is None else name
        if not path.exists():
            raise ConfigError(f"{self.id}: no artifact at {path}")
        if Path(name).name != name:
            raise ConfigError(f"{self.id}: artifact name {name!r} must not contain folders")
        target = self.folder / ARTIFACTS / name
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        elif path.resolve() != target.resolve():
            shutil.copyfile(path, target)
        return target

    def finish(self, status: Status = "finished") -> None:
        """Close the files and the sinks; once finished, a run stays as it is."""
        if not self._is_open:
            return
        self._is_open = False
        self._metrics.close()
        self._facts |= {"status": status, "finished_at": _now().isoformat(timespec="seconds")}
        write_json(self.folder / RUN, self._facts)
        for sink in self._sinks:
            sink.finish(status)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.finish("finished" if kind is None else "failed")


def start_run(
    runs_folder: Path,
    *,
    command: str,
    name: str,
    config: Mapping[str, JSON],
    sinks: Sequence[str] = (),
) -> Run:
    """A new run of `command` in `runs_folder`; `name` becomes part of its id."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"run name {name!r}: use letters, digits and . _ + - only")
    openers = load_sinks(sinks)
    started = _now()
    folder = _new_folder(runs_folder, f"{started:%Y%m%d-%H%M%S}-{name}")
    facts: dict[str, JSON] = {
        "id": folder.name,
        "command": command,
        "name": name,
        "config": config,
        "started_at": started.isoformat(timespec="seconds"),
        "commit": source_commit(),
        "environment": describe_environment(),
        "status": "running",
    }
    write_json(folder / RUN, facts)
    return Run(folder, facts, [opener(folder, facts) for opener in openers])


def resume_run(folder: Path, *, sinks: Sequence[str] = ()) -> Run:
    """Go on with a run that was interrupted; steps logged again replace the earlier ones."""
    openers = load_sinks(sinks)
    facts = read_json(folder / RUN) | {"status": "running"}
    _drop_torn_line(folder / METRICS)
    write_json(folder / RUN, facts)
    return Run(folder, facts, [opener(folder, facts) for opener in openers])


def _new_folder(runs_folder: Path, run_id: str) -> Path:
    """`run_id`, or with -2, -3, … when runs start within one second."""
    runs_folder.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        folder = runs_folder / (run_id if attempt == 1 else f"{run_id}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return folder


def _drop_torn_line(path: Path) -> None:
    if path.exists():
        whole, newline, _ = path.read_bytes().rpartition(b"\n")
        path.write_bytes(whole + newline)


def _last_time_s(path: Path) -> float:
    """A resumed run's clock goes on where it stopped."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = re.search(r'"time_s": ([0-9.]+)', lines[-1]) if lines else None
    return float(found.group(1)) if found else 0.0


def _now() -> datetime:
    return datetime.now(UTC)
