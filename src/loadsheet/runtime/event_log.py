"""The log of a run: what the scheduler was told and what it planned, one JSON object per line.

    {"type": "header", "schema_version": 1, "policy": …, "limits": …, "prior": … | null}
    {"type": "arrived" | "cancelled" | "finished" | "drained", "at_s": …, …}
    {"type": "plan", "at_s": …, "step_id": …, …}        one per call of plan() that gave a step

Feeding the events to a fresh scheduler gives the same plans (see `replay`). The ids of a decode
batch are written only when they change, so that a line stays short however many sequences run.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from loadsheet.errors import AssetError, ConfigError
from loadsheet.runtime.event_codec import (
    Drained,
    Record,
    decode,
    decode_limits,
    decode_prior,
    encode_event,
    encode_plan,
)
from loadsheet.sched.affine_prior import AffinePrior
from loadsheet.sched.event import Event
from loadsheet.sched.limits import DeviceLimits
from loadsheet.sched.plan import StepPlan, TextBatch

SCHEMA_VERSION = 1
_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeader:
    """`prior` None is the plainest guess of step times."""

    policy: str
    limits: DeviceLimits
    prior: AffinePrior | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """What happened at `at_s`: an event the scheduler took, or a plan it gave."""

    at_s: float
    what: Event | Drained | StepPlan


class EventLogWriter:
    """Appends to a new file through one fixed buffer; nothing else is kept in memory.

    For one thread. Close it, or use it as a context manager: the last buffer is written then.
    """

    def __init__(
        self,
        path: Path | str,
        limits: DeviceLimits,
        policy: str,
        prior: AffinePrior | None = None,
    ) -> None:
        try:
            # closed by close(); the log lives as long as the loop
            self._file = Path(path).open("w", buffering=_BUFFER_BYTES, encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise ConfigError(f"cannot write the event log {path}: {error.strerror}") from error
        self._encode = json.JSONEncoder(separators=(",", ":")).encode
        self._last_decodes: dict[str, tuple[str, ...]] = {}
        self._write(
            {
                "type": "header",
                "schema_version": SCHEMA_VERSION,
                "policy": policy,
                "limits": asdict(limits),
                "prior": None if prior is None else asdict(prior),
            }
        )

    def record_event(self, event: Event, now_s: float) -> None:
        self._write(encode_event(event, now_s))

    def record_plan(self, plan: StepPlan, now_s: float) -> None:
        batch, model = plan.batch, plan.model
        has_new_decodes = False
        if isinstance(batch, TextBatch) and self._last_decodes.get(model) is not batch.decodes:
            self._last_decodes[model] = batch.decodes
            has_new_decodes = True
        self._write(encode_plan(plan, now_s, has_new_decodes))

    def record_drain(self, now_s: float) -> None:
        self._write({"type": "drained", "at_s": now_s})

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "EventLogWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, record: Record) -> None:
        self._file.write(self._encode(record) + "\n")


class EventLogReader:
    """Reads a log line by line. A last line that was cut off by a crash is left out."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        first = next(self._records(), None)
        self.header = self._read_header({} if first is None else first[1])

    def _read_header(self, record: Record) -> LogHeader:
        if record.get("type") != "header":
            raise AssetError(f"{self._path} does not start with the header of an event log")
        if record.get("schema_version") != SCHEMA_VERSION:
            raise AssetError(
                f"{self._path} has schema version {record.get('schema_version')}, this version "
                f"reads {SCHEMA_VERSION}; replay it with the version that wrote it"
            )
        try:
            return LogHeader(
                policy=record["policy"],
                limits=decode_limits(record["limits"]),
                prior=decode_prior(record.get("prior")),
            )
        except (KeyError, TypeError) as error:
            raise AssetError(f"{self._path} line 1 is no header: {error}") from error

    def __iter__(self) -> Iterator[LogEntry]:
        decodes: dict[str, tuple[str, ...]] = {}
        for line_no, record in self._records():
            if line_no == 1:
                continue
            try:
                yield LogEntry(at_s=record["at_s"], what=decode(record, decodes))
            except (KeyError, TypeError, ValueError) as error:
                raise AssetError(f"{self._path} line {line_no} is no log entry: {error}") from error

    def _records(self) -> Iterator[tuple[int, Record]]:
        try:
            with self._path.open(encoding="utf-8") as lines:
                for line_no, line in enumerate(lines, start=1):
                    if line.endswith("\n"):
                        yield line_no, _parse(line, self._path, line_no)
        except OSError as error:
            raise AssetError(f"cannot read the event log {self._path}: {error.strerror}") from error


def _parse(line: str, path: Path, line_no: int) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise AssetError(f"{path} line {line_no} is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise AssetError(f"{path} line {line_no} is no JSON object")
    return record
