"""Plain data as YAML: mappings, lists, strings, numbers. Strings that could be read as something
else are quoted as JSON, which YAML contains."""

import json
import re
from collections.abc import Mapping, Sequence

Yaml = str | int | float | bool | None | Sequence["Yaml"] | Mapping[str, "Yaml"]

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
# what YAML does not print as it is: controls, line separators, the byte order mark
_ODD = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
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
    if isinstance(value, str) and _is_block(value):
        return [f"{head} |", *(f"  {line}" for line in value.removesuffix("\n").split("\n"))]
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        if not value:
            return [f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"]
        return [head, *(f"  {line}" for line in _lines(value))]
    return [f"{head} {_scalar(value)}"]


def _is_block(text: str) -> bool:
    """Whether a literal block means the same: lines that end in one newline, the first flush."""
    lines = text.split("\n")
    return (
        len(lines) > 2
        and lines[-1] == ""
        and all(line.isascii() and line.isprintable() and line.strip() for line in lines[:-1])
        and not lines[0][:1].isspace()
    )


def _scalar(value: str | int | float | bool | None) -> str:
    is_plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    if is_plain:
        return str(value)
    quoted = json.dumps(value, ensure_ascii=False)
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
