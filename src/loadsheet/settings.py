"""A table of a settings file, read key by key; what nobody asked for is an error.

Errors name the file, the line, the key and the nearest valid key.
"""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from loadsheet.errors import ConfigError

_HEADER = re.compile(r"^\s*(\[\[?)\s*([\w.\-\"]+)\s*\]")
_KEY = re.compile(r"^\s*([\w\-]+)\s*=")


def read_toml(path: Path, what: str) -> "Table":
    """The whole file as a table; `what` it is, for the message when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        return Table(tomllib.loads(text), "", toml_lines(text, str(path)))
    except OSError as error:
        raise ConfigError(f"cannot read {what} {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def toml_lines(text: str, name: str) -> dict[str, str]:
    """`{"traffic[0].rate_rps": "FILE line 7"}`: where tables and keys begin. Keys of inline tables
    are on the line of the key that holds them."""
    places: dict[str, str] = {"": name}
    numbers: Counter[str] = Counter()
    prefix = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            prefix = _resolved(header[2].replace('"', ""), header[1] == "[[", numbers)
            places.setdefault(prefix, f"{name} line {number}")
        elif key:
            path = f"{prefix}.{key[1]}" if prefix else key[1]
            places.setdefault(path, f"{name} line {number}")
    return places


def _resolved(header: str, is_array: bool, numbers: Counter[str]) -> str:
    """`traffic.arrivals` under the second `[[traffic]]` → `traffic[1].arrivals`."""
    path = ""
    names = header.split(".")
    for depth, name in enumerate(names):
        path = f"{path}.{name}" if path else name
        if is_array and depth == len(names) - 1:
            numbers[path] += 1
        if numbers[path]:
            path = f"{path}[{numbers[path] - 1}]"
    return path


class Table:
    """`where` names the table in messages, like `traffic[0].arrivals`; `places` says where in its
    file each path is (see `toml_lines`)."""

    def __init__(
        self,
        values: Mapping[str, object],
        where: str,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self._values = dict(values)
        self._where = where
        self._places = places or {}
        self._known: list[str] = []

    def has(self, key: str) -> bool:
        return key in self._values

    def keys(self) -> tuple[str, ...]:
        return tuple(self._values)

    def raw(self, key: str) -> object:
        """The value as it is in the file, None when absent; marks the key as known."""
        self._known.append(key)
        return self._values.get(key)

    def number(self, key: str, default: float) -> float:
        value = self.optional_number(key)
        return default if value is None else value

    def optional_number(self, key: str) -> float | None:
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "a number")
        return float(value)

    def integer(self, key: str, default: int) -> int:
        value = self.optional_integer(key)
        return default if value is None else value

    def optional_integer(self, key: str) -> int | None:
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, "a whole number")
        return value

    def text(self, key: str) -> str | None:
        value = self.raw(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, "a text in quotes")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers; empty when absent."""
        values = self.raw(key)
        if values is None:
            return ()
        if not isinstance(values, list) or not all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        ):
            raise self.wrong(key, "a list of numbers")
        return tuple(float(value) for value in values)

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; empty when absent."""
        values = self.raw(key)
        if values is None:
            return ()
        if not isinstance(values, list) or not all(type(value) is int for value in values):
            raise self.wrong(key, "a list of whole numbers")
        return tuple(values)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty when absent."""
        values = self.raw(key)
        if values is None:
            return ()
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "a list of texts in quotes")
        return tuple(values)

    def child(self, key: str) -> "Table":
        """The table under `key`; empty when absent."""
        value = self.raw(key)
        if value is None:
            return Table({}, self.path(key), self._places)
        if not isinstance(value, Mapping):
            raise self.wrong(key, "a table")
        return Table(value, self.path(key), self._places)

    def children(self, key: str) -> "list[Table]":
        value = self.raw(key)
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self.wrong(key, "one or more tables")
        return [
            Table(item, f"{self.path(key)}[{index}]", self._places)
            for index, item in enumerate(value)
        ]

    def required(self, key: str) -> None:
        if not self.has(key):
            raise self.error(key, "is missing")

    def wrong(self, key: str, expected: str) -> ConfigError:
        return self.error(key, f"is {self._values.get(key)!r}; give {expected}")

    def error(self, key: str, words: str) -> ConfigError:
        """`FILE line 7: traffic[0].rate_rps WORDS`, as far as the place is known."""
        path, place = self.path(key), ""
        for known in (path, self._where, self._where.rpartition(".")[0], ""):
            place = place or self._places.get(known, "")
        return ConfigError(f"{place}: {path} {words}" if place else f"{path} {words}")

    def path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def finish(self) -> None:
        """Raise for the first key that was never asked for, naming the nearest one that was."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(self._known)}"
                raise self.error(key, f"is not a setting; {hint}")
