"""A simulation on disk.

summary.json       the result: classes, replicas, intervals
requests.jsonl     one line per request; requests.parquet too where pyarrow is installed
memory.jsonl       one line per replica and sample
trace.json         steps for chrome://tracing and ui.perfetto.dev, where they were recorded
*.events.jsonl     the event log of each replica, where it was asked for
"""

import importlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.sim.chrome_trace import chrome_trace
from loadsheet.sim.record import Fate, Record
from loadsheet.sim.result import SimResult
from loadsheet.sim.summary_document import summary_document
from loadsheet.workload.request import ImageRequest, TextRequest

Json = dict[str, object]


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make {folder}: {error.strerror}") from error


def write_result(result: SimResult, folder: Path) -> list[Path]:
    """The files that were written."""
    make_folder(folder)
    rows = [request_row(record) for record in result.records]
    written = [folder / "summary.json", folder / "requests.jsonl", folder / "memory.jsonl"]
    summary = json.dumps(summary_document(result), indent=1)
    written[0].write_text(summary + "\n", encoding="utf-8")
    _write_lines(written[1], rows)
    _write_lines(written[2], _memory_rows(result))
    if any(replica.spans for replica in result.replicas):
        written.append(folder / "trace.json")
        written[-1].write_text(json.dumps(chrome_trace(result)), encoding="utf-8")
    if _write_parquet(folder / "requests.parquet", rows):
        written.append(folder / "requests.parquet")
    return written


def request_row(record: Record) -> Json:
    """Flat, with null where something did not happen; the same columns for every kind."""
    job, request = record.job, record.job.request
    is_served = record.fate is Fate.SERVED
    text = request if isinstance(request, TextRequest) else None
    image = request if isinstance(request, ImageRequest) else None
    return {
        "request_id": request.request_id,
        "class": job.class_name,
        "kind": request.kind.value,
        "model": request.model,
        "replica": record.device or None,
        "fate": record.fate.value,
        "is_good": record.is_good(),
        "arrival_s": request.arrival_s,
        "first_token_s": None if math.isnan(record.first_s) else record.first_s,
        "end_s": record.end_s if is_served else None,
        "prompt_tokens": None if text is None else text.prompt_tokens,
        "output_tokens": None if text is None else job.output_tokens,
        "width": None if image is None else image.width,
        "height": None if image is None else image.height,
        "num_steps": None if image is None else image.num_steps,
        "num_restarts": record.num_restarts,
        "message": record.message or None,
    }


def _memory_rows(result: SimResult) -> Iterator[Json]:
    for replica in result.replicas:
        for sample in replica.memory:
            yield {"replica": replica.name, **asdict(sample)}


def _write_lines(path: Path, rows: Iterable[Json]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _write_parquet(path: Path, rows: list[Json]) -> bool:
    """Whether it could be: pyarrow is optional, as the same rows are in requests.jsonl."""
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        return False
    parquet.write_table(arrow.Table.from_pylist(rows), str(path))
    return True
