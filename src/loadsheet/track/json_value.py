"""JSON as this package stores it: typed, strict, written whole or not at all.

Numbers that JSON has no word for (a loss that diverged) are the texts "NaN", "Infinity" and
"-Infinity", which `float` reads back.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from loadsheet.errors import ConfigError

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"


def encode(value: JSON, *, indent: int | None = None) -> str:
    """Raises ConfigError, with the place, for what JSON cannot hold."""
    return json.dumps(_storable(value, ""), indent=indent, ensure_ascii=False)


def write_json(path: Path, value: JSON) -> None:
    """The old file stays whole until the new one is complete."""
    unfinished = path.with_suffix(f"{path.suffix}.tmp")
    unfinished.write_text(encode(value, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_json(path: Path) -> dict[str, JSON]:
    """Raises ConfigError for a file that is missing, damaged or no object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds a {type(value).__name__}, not an object")
    return value


def _storable(value: JSON, place: str) -> JSON:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _WORDS.get(value, "NaN")
    if isinstance(value, Mapping):
        return {_key(key, place): _storable(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_storable(item, f"{place}[{index}]") for index, item in enumerate(value)]
    raise ConfigError(f"{place.lstrip('.') or 'value'} is a {type(value).__name__}: not JSON")


_WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _key(key: object, place: str) -> str:
    if isinstance(key, str):
        return key
    raise ConfigError(f"{place.lstrip('.') or 'value'} has the key {key!r}: keys are texts")
