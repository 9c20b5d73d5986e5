"""Plain data as YAML: mappings, lists, strings, numbers. Strings that could be read as something
else are quoted as JSON, which YAML contains."""

import json
import re
from collections.abc import Mapping, Sequence

Yaml = str | int | float | bool | None | Sequence["Yaml"] | Mapping[str, "Yaml"]

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def yaml_text(documents: Sequence[Mapping[str, Yaml]]) -> str:
    return "---\n".join("\n".join(_lines(one)) + "\n" for one in documents)


def _lines(value: Yaml) -> list[str]:
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _entry(f"{_scalar(key)}:", item)]
    assert isinstance(value, Sequence) and not isinstance(value, str)
    lines: list[str] = []
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _lines(item)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
        else:
            lines += _entry("-", item)
    return lines


def _entry(head: str, value: Yaml) -> list[str]:
    if isinstance(value, str) and "\n" in value:
        return [
            f"{head} |",
            *(f"  {line}" if line else "" for line in value.rstrip("\n").split("\n")),
        ]
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        if not value:
            return [f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"]
        return [head, *(f"  {line}" for line in _lines(value))]
    return [f"{head} {_scalar(value)}"]


def _scalar(value: str | int | float | bool | None) -> str:
    is_plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)
