"""A user's own labelled texts: CSV with a header, or JSON objects line by line."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadsheet.adapt.labelled_text import LabelledSet, LabelledText
from loadsheet.errors import ConfigError

_MAX_LABELS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumns:
    """Names of the columns; without `domain` all rows are of one domain called `data`."""

    text: str = "text"
    label: str = "label"
    domain: str | None = None


def read_table(path: Path, columns: TextColumns) -> LabelledSet:
    """Labels are the distinct values of the label column in alphabetical order.

    Raises ConfigError with the line number for the first row that cannot be used.
    """
    rows = [_cells(path, number, row, columns) for number, row in _lines(path)]
    if not rows:
        raise ConfigError(f"{path} holds no rows; give at least one text of each label")
    labels = tuple(sorted({label for _, label, _ in rows}))
    if len(labels) > _MAX_LABELS:
        raise ConfigError(
            f"{path} has {len(labels)} distinct values in {columns.label!r}, at most {_MAX_LABELS} "
            "labels are learnt; is this the right column?"
        )
    index = {label: idx for idx, label in enumerate(labels)}
    return LabelledSet(
        rows=tuple(
            LabelledText(text=text, label=index[label], domain=domain, group=f"{path.name}:{idx}")
            for idx, (text, label, domain) in enumerate(rows)
        ),
        labels=labels,
    )


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    try:
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            yield from _json_lines(path)
        elif path.suffix.lower() == ".csv":
            yield from _csv_lines(path)
        else:
            raise ConfigError(f"{path} is neither .csv nor .jsonl; rename or convert it")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}; convert it") from error


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path}:{number}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise ConfigError(
                    f"{path}:{number}: a {type(row).__name__}; each line is one object"
                )
            yield number, row


def _csv_lines(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for row in reader:
                if None in row:
                    raise ConfigError(
                        f"{path}:{reader.line_num}: more cells than the header has; "
                        "quote texts that hold commas"
                    )
                yield reader.line_num, row
        except csv.Error as error:
            raise ConfigError(f"{path}:{reader.line_num}: no CSV: {error}") from error


def _cells(
    path: Path, number: int, row: Mapping[str, object], columns: TextColumns
) -> tuple[str, str, str]:
    text = _cell(path, number, row, columns.text)
    label = _cell(path, number, row, columns.label)
    domain = "data" if columns.domain is None else _cell(path, number, row, columns.domain)
    return text, label, domain


def _cell(path: Path, number: int, row: Mapping[str, object], column: str) -> str:
    if column not in row:
        raise ConfigError(
            f"{path}:{number}: no column {column!r}; the columns are {', '.join(map(str, row))}"
        )
    value = row[column]
    if not isinstance(value, str | int | bool) or not str(value).strip():
        raise ConfigError(f"{path}:{number}: {column!r} is {value!r}; give a text")
    return str(value).strip()
