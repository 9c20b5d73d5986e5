"""The folder a run leaves: records as they end, then the summary in every form.

records.jsonl   one line per request, flushed each second: valid whenever the run dies
summary.json    numbers with units and intervals, environment, workload, definitions
summary.md      the same as tables
"""

import json
from pathlib import Path
from types import TracebackType
from typing import TextIO

from loadsheet.bench.exports import write_exports
from loadsheet.bench.html_report import html_report
from loadsheet.bench.markdown import markdown_report
from loadsheet.bench.record import RequestRecord, read_record_line, record_line
from loadsheet.bench.run import RunResult
from loadsheet.bench.summary_json import summary_document
from loadsheet.errors import ConfigError

RECORDS = "records.jsonl"
SUMMARY = "summary.json"
MARKDOWN = "summary.md"
HTML = "report.html"
EXPORTS = "exports"
_FLUSH_EVERY = 64


class RunFolder:
    """A new folder; one that already holds a run is refused rather than overwritten."""

    def __init__(self, path: Path) -> None:
        if (path / RECORDS).exists():
            raise ConfigError(f"{path} already holds a run; give another --out or remove it")
        path.mkdir(parents=True, exist_ok=True)
        self.path = path

    def write_summary(self, result: RunResult) -> None:
        document = json.dumps(summary_document(result), indent=2, ensure_ascii=False)
        (self.path / SUMMARY).write_text(document + "\n", encoding="utf-8")
        report = markdown_report(result.workload.name, result.summary)
        (self.path / MARKDOWN).write_text(report, encoding="utf-8")
        (self.path / HTML).write_text(html_report(result), encoding="utf-8")
        write_exports(self.path / EXPORTS, result)


class RecordWriter:
    """Appends records; lines reach the disk in batches, and all of them on close."""

    def __init__(self, folder: Path) -> None:
        self._file: TextIO = (folder / RECORDS).open("w", encoding="utf-8")
        self._num_unflushed = 0

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, record: RequestRecord) -> None:
        self._file.write(record_line(record) + "\n")
        self._num_unflushed += 1
        if self._num_unflushed >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        self._file.flush()
        self._num_unflushed = 0


def read_records(folder: Path) -> list[RequestRecord]:
    try:
        lines = (folder / RECORDS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{folder} holds no run: {error.strerror} ({RECORDS})") from error
    return [read_record_line(line) for line in lines if line.strip()]


def read_summary(folder: Path) -> dict[str, object]:
    try:
        document = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{folder} holds no run: {error.strerror} ({SUMMARY})") from error
    except ValueError as error:
        raise ConfigError(f"{folder / SUMMARY} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{folder / SUMMARY} is no summary")
    return document
