"""A table of a settings file, read key by key; what nobody asked for is an error."""

import difflib
from collections.abc import Mapping

from loadsheet.errors import ConfigError


class Table:
    """`where` names the table in messages, like `traffic[0].arrivals`."""

    def __init__(self, values: Mapping[str, object], where: str) -> None:
        self._values = dict(values)
        self._where = where
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

    def child(self, key: str) -> "Table":
        """The table under `key`; empty when absent."""
        value = self.raw(key)
        if value is None:
            return Table({}, self.path(key))
        if not isinstance(value, Mapping):
            raise self.wrong(key, "a table")
        return Table(value, self.path(key))

    def children(self, key: str) -> "list[Table]":
        value = self.raw(key)
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self.wrong(key, "one or more tables")
        return [Table(item, f"{self.path(key)}[{index}]") for index, item in enumerate(value)]

    def required(self, key: str) -> None:
        if not self.has(key):
            raise ConfigError(f"{self.path(key)} is missing")

    def wrong(self, key: str, expected: str) -> ConfigError:
        return ConfigError(f"{self.path(key)} is {self._values.get(key)!r}; give {expected}")

    def path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def finish(self) -> None:
        """Raise for the first key that was never asked for, naming the nearest one that was."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(self._known)}"
                raise ConfigError(f"{self.path(key)} is not a setting; {hint}")
