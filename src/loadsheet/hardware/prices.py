"""A user's own prices, dated: `prices.toml` beside the calibration replaces the catalogue's.

[h100-sxm-80gb]
usd_per_hour = 2.10
date = "2026-11-01"
note = "our contract"
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from loadsheet.cache_root import cache_root
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Price

_KEYS = {"usd_per_hour", "date", "note"}


def prices_file(cache_dir: Path | None = None) -> Path:
    return cache_root(cache_dir) / "prices.toml"


def read_prices(path: Path) -> dict[str, Price]:
    """By device name; empty where there is no file."""
    try:
        with path.open("rb") as handle:
            tables = tomllib.load(handle)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return {name: _price(table, f"{path}: [{name}]") for name, table in tables.items()}


def _price(table: object, where: str) -> Price:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} is {table!r}, expected a table")
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise ConfigError(f"{where} has {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    dollars, day = table.get("usd_per_hour"), str(table.get("date", ""))
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not 0 < dollars < 1e4:
        raise ConfigError(f"{where} usd_per_hour is {dollars!r}; give dollars per device and hour")
    try:
        date.fromisoformat(day)
    except ValueError:
        raise ConfigError(
            f"{where} date is {day!r}; give the day of the price, YYYY-MM-DD"
        ) from None
    note = f"{table.get('note', 'set by the user')}, {day}"
    return Price(low_usd_per_hour=float(dollars), high_usd_per_hour=float(dollars), note=note)
