"""One trace format for text and images: JSON lines, ordered by arrival, with a `kind`.

    {"kind": "text", "arrival_s": 0.0, "prompt_tokens": 374, "output_tokens": 44}
    {"kind": "image", "arrival_s": 1.2, "width": 512, "height": 512, "num_steps": 30}

Image rows may add guidance_scale and num_images; other fields are errors. Lines that start with `#`
are comments: where the rows come from belongs there.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape, Shape, TextShape

_SHAPES: dict[str, type[TextShape] | type[ImageShape]] = {
    RequestKind.TEXT.value: TextShape,
    RequestKind.IMAGE.value: ImageShape,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    arrival_s: float
    shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Arrivals and shapes from rows.

    Rows from `start_s` on are used. `time_scale` 0.1 plays ten times faster; `length_scale` 0.1
    makes prompts and answers ten times shorter (at least one token), for short contexts.
    """

    source: str
    rows: tuple[TraceRow, ...]
    time_scale: float = 1.0
    length_scale: float = 1.0
    start_s: float = 0.0
    max_requests: int | None = None

    def __post_init__(self) -> None:
        for name, scale in (("time_scale", self.time_scale), ("length_scale", self.length_scale)):
            if not 0 < scale < float("inf"):
                raise ConfigError(f"{name} is {scale}; give a number above 0")
        if self.max_requests is not None and self.max_requests < 1:
            raise ConfigError(f"max_requests is {self.max_requests}; give at least 1")

    def played(self) -> Iterator[TraceRow]:
        rows = (row for row in self.rows if row.arrival_s >= self.start_s)
        for index, row in enumerate(rows):
            if self.max_requests is not None and index >= self.max_requests:
                return
            at_s = (row.arrival_s - self.start_s) * self.time_scale
            yield TraceRow(arrival_s=at_s, shape=self._scaled(row.shape))

    def _scaled(self, shape: Shape) -> Shape:
        if not isinstance(shape, TextShape) or self.length_scale == 1:
            return shape
        return TextShape(
            prompt_tokens=max(1, round(shape.prompt_tokens * self.length_scale)),
            output_tokens=max(1, round(shape.output_tokens * self.length_scale)),
        )


def read_trace(path: Path) -> tuple[TraceRow, ...]:
    """Rows of a trace file (`.gz` too), sorted by arrival; raises ConfigError with the line."""
    return parse_trace(open_text(path), path.name)


def parse_trace(lines: Iterable[str], name: str) -> tuple[TraceRow, ...]:
    rows = [
        _row(line, f"{name} line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    ]
    return tuple(sorted(rows, key=lambda row: row.arrival_s))


def write_trace(path: Path, rows: Iterable[TraceRow], comments: Iterable[str] = ()) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"# {comment}\n" for comment in comments)
        for row in rows:
            shape = {name: value for name, value in asdict(row.shape).items() if value is not None}
            document = {"kind": row.shape.kind.value, "arrival_s": row.arrival_s, **shape}
            file.write(json.dumps(document) + "\n")


def open_text(path: Path) -> list[str]:
    """Lines of a text file that may be gzipped."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read trace {path}: {error.strerror}") from error
    data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    return data.decode("utf-8").splitlines()


def _row(line: str, where: str) -> TraceRow:
    try:
        document = json.loads(line)
        shape_type = _SHAPES[document.pop("kind")]
        arrival_s = float(document.pop("arrival_s"))
        return TraceRow(arrival_s=arrival_s, shape=shape_type(**document))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        known = ", ".join(
            f"{kind}: {[field.name for field in fields(shape)]}" for kind, shape in _SHAPES.items()
        )
        message = f"{where}: not a trace row ({error}); needs kind, arrival_s and {known}"
        raise ConfigError(message) from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
