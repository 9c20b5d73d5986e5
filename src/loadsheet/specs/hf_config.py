"""A typed view of a published `config.json`: every missing or ill-typed key is named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from loadsheet.errors import SpecError


@dataclass(frozen=True, slots=True)
class HfConfig:
    """`fields` as in the file; `null` counts as absent, as it does in the libraries."""

    fields: Mapping[str, object]
    where: str

    def has(self, key: str) -> bool:
        return self.fields.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "a whole number")
        if value < 0:
            raise self._wrong(key, value, "a number ≥ 0")
        return value

    def positive(self, key: str, default: int | None = None) -> int:
        value = self.integer(key, default)
        if value == 0:
            raise self._wrong(key, value, "a number ≥ 1")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        return value

    def items(self, key: str, default: tuple[object, ...] | None = None) -> tuple[object, ...]:
        value = self._get(key, default)
        if not isinstance(value, list | tuple):
            raise self._wrong(key, value, "a list")
        return tuple(value)

    def integers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        return tuple(self._whole(key, item) for item in self.items(key, default))

    def per_level(self, key: str, levels: int, default: int | None = None) -> tuple[int, ...]:
        """A number for all levels or a list with one for each."""
        if not isinstance(self._get(key, default), list | tuple):
            return (self.integer(key, default),) * levels
        values = self.integers(key)
        if len(values) != levels:
            raise self._wrong(key, list(values), f"one number for each of {levels} levels")
        return values

    def child(self, key: str) -> Self:
        value = self._get(key, None)
        if not isinstance(value, Mapping):
            raise self._wrong(key, value, "a table")
        return type(self)(value, f"{self.where} {key}")

    def multiple(self, key: str, of: str) -> None:
        """Refuse a `key` that `of` does not divide."""
        value, divisor = self.positive(key), self.positive(of)
        if value % divisor:
            raise SpecError(
                f"{self.where}: {key} {value} is not a multiple of {of} {divisor}; "
                f"the nearest that is: {max(1, round(value / divisor)) * divisor}"
            )

    def _get(self, key: str, default: object) -> object:
        value = self.fields.get(key)
        if value is None:
            value = default
        if value is None:
            raise SpecError(f"{self.where}: the config has no {key}")
        return value

    def _whole(self, key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "a list of whole numbers")
        return value

    def _wrong(self, key: str, value: object, expected: str) -> SpecError:
        return SpecError(f"{self.where}: {key} is {value!r}, expected {expected}")
