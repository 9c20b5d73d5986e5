"""What the kernel models need of a chip beside its peaks: units, clock, cache, family."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device

FOLDER = Path(__file__).parent.parent / "calibration"
_OTHER_UNITS = 128  # a chip we know nothing of


@dataclass(frozen=True, slots=True, kw_only=True)
class Silicon:
    """Datasheet facts. `is_known` is False for a chip whose family no constants were made for."""

    family: str
    num_units: int
    clock_hz: float
    cache_bytes: float
    is_known: bool = True
    has_inline_ecc: bool = False


@cache
def _facts() -> Mapping[str, Mapping[str, object]]:
    with (FOLDER / "silicon.toml").open("rb") as handle:
        return tomllib.load(handle)


@cache
def silicon_named(name: str) -> Silicon:
    """By catalogue name; an unlisted chip gets the plainest family and a typical size."""
    fields = _facts().get(name)
    if fields is None:
        return Silicon(
            family="other",
            num_units=_OTHER_UNITS,
            clock_hz=1.5e9,
            cache_bytes=32e6,
            is_known=False,
        )
    numbers = [fields[key] for key in ("num_units", "clock_ghz", "cache_mb")]
    units, clock, cached = (float(value) for value in numbers if isinstance(value, int | float))
    if min(units, clock, cached) <= 0:
        raise ConfigError(f"silicon.toml: {name} has a figure of zero or below")
    return Silicon(
        family=str(fields["family"]),
        num_units=round(units),
        clock_hz=clock * 1e9,
        cache_bytes=cached * 1e6,
        has_inline_ecc=fields.get("has_inline_ecc") is True,
    )


def silicon_of(device: Device) -> Silicon:
    return silicon_named(device.name.lower())


def capacity_bytes(device: Device) -> float:
    """What the driver reports. Memory chips come in powers of two, so a card sold as 80 GB holds
    80 times 2^30 bytes; where check bits lie in the same chips, 15/16 of that is left."""
    silicon = silicon_of(device)
    if not silicon.is_known:
        return float(device.memory_bytes)
    return device.memory_bytes * 2**30 / 1e9 * (15 / 16 if silicon.has_inline_ecc else 1.0)
