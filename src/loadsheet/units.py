"""Formatting of SI values for people. Inside, everything is seconds, bytes and FLOPs."""

import re

from loadsheet.errors import ConfigError

_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def format_bytes(num_bytes: float) -> str:
    """`format_bytes(269_060_552)` → `'256.6 MiB'` (powers of 1024)."""
    value = float(num_bytes)
    for unit in _BYTE_UNITS:
        if abs(value) < 1024 or unit == _BYTE_UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable: the last unit always returns")


def format_seconds(seconds: float) -> str:
    """`format_seconds(0.0042)` → `'4.20 ms'`."""
    for scale, unit in _TIME_UNITS:
        if abs(seconds) >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds * 1e6:.2f} µs"


_BYTE_WORDS = {"b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40} | {
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}


def parse_bytes(text: str) -> int:
    """`parse_bytes('512MiB')` → `536870912`; a bare number counts bytes."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    unit = match.group(2).lower() if match else ""
    if match is None or (unit and unit not in _BYTE_WORDS):
        raise ConfigError(f"{text!r} is not a size; write bytes or a number with KiB, MiB, GiB")
    return int(float(match.group(1)) * _BYTE_WORDS.get(unit, 1))
