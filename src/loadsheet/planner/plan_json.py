"""A plan as JSON and back, field by field from the data classes themselves.

Numbers keep their full precision; what is not finite has no place in a plan and is refused.
"""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.planner.plan import SCHEMA_VERSION, Plan


def to_json(plan: Plan) -> str:
    return json.dumps(_document(plan), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, where: str = "plan") -> Plan:
    """Raises ConfigError that names the field."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not JSON: {error}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise ConfigError(
            f"{where} has schema_version {version!r}; this program reads {SCHEMA_VERSION}, "
            "plan again with it"
        )
    plan = _value(Plan, document, where)
    assert isinstance(plan, Plan)
    return plan


def read_plan(path: Path) -> Plan:
    """A `plan.json`, or the folder that holds it."""
    file = path / "plan.json" if path.is_dir() else path
    try:
        return from_json(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise ConfigError(f"cannot read plan {file}: {error.strerror}") from error


def _document(value: object) -> object:
    if is_dataclass(value):
        return {field.name: _document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _document(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_document(item) for item in value]
    return value


def _value(kind: object, value: object, where: str) -> object:
    """`value` of a JSON document as the annotated type `kind`."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(typing.get_args(kind), value, where)
    if origin is tuple:
        item_kind = typing.get_args(kind)[0]
        items = _expect(list, value, where)
        return tuple(
            _value(item_kind, item, f"{where}[{index}]") for index, item in enumerate(items)
        )
    if origin is dict:
        item_kind = typing.get_args(kind)[1]
        pairs = _expect(dict, value, where)
        return {key: _value(item_kind, item, f"{where}.{key}") for key, item in pairs.items()}
    assert isinstance(kind, type)
    if is_dataclass(kind):
        return _record(kind, _expect(dict, value, where), where)
    return _scalar(kind, value, where)


def _optional(kinds: tuple[object, ...], value: object, where: str) -> object:
    """`X | None`: plans hold no other union."""
    (kind,) = (kind for kind in kinds if kind is not types.NoneType)
    return None if value is None else _value(kind, value, where)


def _record(kind: type, document: dict[str, object], where: str) -> object:
    hints = typing.get_type_hints(kind)
    names = _names(kind)
    unknown, missing = sorted(set(document) - names), sorted(names - set(document))
    if unknown or missing:
        wrong = f"unknown {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise ConfigError(f"{where}: {wrong}; the plan was changed or is of another version")
    return kind(
        **{key: _value(hints[key], item, f"{where}.{key}") for key, item in document.items()}
    )


def _scalar(kind: type, value: object, where: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if issubclass(kind, StrEnum):
        try:
            return kind(_expect(str, value, where))
        except ValueError:
            raise ConfigError(f"{where} is {value!r}; known: {', '.join(kind)}") from None
    return _expect(kind, value, where)


_T = typing.TypeVar("_T")


def _expect(kind: type[_T], value: object, where: str) -> _T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where} is {value!r}; expected {kind.__name__}")
    return value


def _names(kind: object) -> set[str]:
    assert isinstance(kind, type)
    return {field.name for field in fields(kind)} if is_dataclass(kind) else set()
