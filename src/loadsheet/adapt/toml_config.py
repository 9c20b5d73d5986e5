"""A configuration class from a TOML file: tables are nested classes, unknown keys are errors."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from loadsheet.errors import ConfigError

Config = TypeVar("Config")


def read_config(path: Path, kind: type[Config]) -> Config:
    """Keys that the file leaves out keep their defaults."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error
    return parse_config(document, kind, str(path))


def parse_config(values: Mapping[str, object], kind: type[Config], place: str) -> Config:
    """`place` is named in errors."""
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{place} has no setting {key!r}; the nearest is {near!r}")
    read = {key: _value(value, hints[key], f"{place}: {key}") for key, value in values.items()}
    try:
        config: Config = kind(**read)
    except TypeError as error:  # a setting without a default is missing
        raise ConfigError(f"{place}: {error}") from error
    return config


def _value(value: object, hint: object, place: str) -> object:
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{place} is {value!r}; a table is due")
        return parse_config(value, hint, place)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{place} is {value!r}; a list is due")
        return tuple(_value(item, get_args(hint)[0], place) for item in value)
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) not in kinds:
        names = " or ".join(kind.__name__ for kind in kinds if isinstance(kind, type))
        raise ConfigError(f"{place} is {value!r}; {names} is due")
    return value
