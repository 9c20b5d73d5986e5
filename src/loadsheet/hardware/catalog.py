"""Devices by name: one TOML file each, with source and date; prices can be overridden."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.hardware.calibration_record import read_record, record_file
from loadsheet.hardware.device import Device, Price
from loadsheet.hardware.prices import prices_file, read_prices

_FOLDER = Path(__file__).parent / "catalog"
_TERA, _GIGA = 1e12, 1e9
THIS_MACHINE = "cpu"


@dataclass(slots=True)
class DeviceCatalog:
    """The files of `folder`, and `cpu`: this machine from its calibration `record`; `prices` of the
    user replace the catalogue's. None takes the files in the cache folder."""

    folder: Path = _FOLDER
    record: Path | None = None
    prices: Path | None = None
    _devices: dict[str, Device] = field(default_factory=dict)
    _prices: dict[str, Price] | None = None

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.toml"))

    def devices(self) -> Iterator[Device]:
        for name in self.names():
            yield self._load(name)

    def find(self, name: str) -> Device:
        """By name, or by the shortest name that starts with it: `h100-sxm`, `l40s`, `h200`."""
        key = name.strip().lower().replace("_", "-").replace(" ", "-")
        if key == THIS_MACHINE:
            return self._this_machine()
        names = self.names()
        if key in names:
            return self._load(key)
        starting = sorted(
            (other for other in names if other.startswith(f"{key}-")),
            key=lambda other: ("sxm" not in other, len(other), other),
        )
        if starting:
            return self._load(starting[0])
        near = get_close_matches(key, [*names, THIS_MACHINE], n=3, cutoff=0.4) or names[:3]
        raise ConfigError(f"device {name!r} is unknown; nearest: {', '.join(near)}")

    def _this_machine(self) -> Device:
        if THIS_MACHINE not in self._devices:
            path = self.record or record_file()
            self._devices[THIS_MACHINE] = self._priced(read_record(path).device())
        return self._devices[THIS_MACHINE]

    def _load(self, name: str) -> Device:
        if name not in self._devices:
            path = self.folder / f"{name}.toml"
            with path.open("rb") as handle:
                device = device_from(tomllib.load(handle), str(path))
            self._devices[name] = self._priced(device)
        return self._devices[name]

    def _priced(self, device: Device) -> Device:
        if self._prices is None:
            path = self.prices or prices_file()
            self._prices = read_prices(path)
            unknown = sorted(set(self._prices) - {*self.names(), THIS_MACHINE})
            if unknown:
                near = get_close_matches(unknown[0], self.names(), n=3, cutoff=0.4)
                raise ConfigError(
                    f"{path}: device {unknown[0]!r} is unknown; nearest: {', '.join(near)}"
                )
        own = self._prices.get(device.name)
        return device if own is None else replace(device, price=own)


def device_from(fields: Mapping[str, object], where: str) -> Device:
    """A device from a TOML table in the catalogue's units (GB, GB/s, TFLOP/s)."""
    rates = _rates(fields.get("peak_tflops"), where)
    if not rates:
        raise ConfigError(f"{where}: peak_tflops names no dtype")
    return Device(
        name=_text(fields, "name", where),
        vendor=_text(fields, "vendor", where),
        memory_bytes=round(_positive(fields, "memory_gb", where) * _GIGA),
        memory_bytes_per_s=_positive(fields, "memory_gb_per_s", where) * _GIGA,
        peak_flops_per_s=rates,
        measured_flops_per_s=_rates(fields.get("measured_tflops", {}), where),
        link_bytes_per_s=_number(fields, "link_gb_per_s", where) * _GIGA,
        host_bytes_per_s=_number(fields, "host_gb_per_s", where) * _GIGA,
        power_w=_number(fields, "power_w", where),
        price=_price(fields.get("price"), where),
        source=_text(fields, "source", where),
        date=_text(fields, "date", where),
        from_memory=bool(fields.get("from_memory", False)),
    )


def with_price(device: Device, usd_per_hour: float, note: str = "set by the user") -> Device:
    if usd_per_hour < 0:
        raise ConfigError(f"a price of {usd_per_hour} dollars per hour is below zero")
    price = Price(low_usd_per_hour=usd_per_hour, high_usd_per_hour=usd_per_hour, note=note)
    return replace(device, price=price)


def _rates(value: object, where: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a table of TFLOP/s by dtype, found {value!r}")
    return {str(dtype): float(rate) * _TERA for dtype, rate in value.items()}


def _price(value: object, where: str) -> Price | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: price is {value!r}, expected a table")
    return Price(
        low_usd_per_hour=_positive(value, "low_usd_per_hour", where),
        high_usd_per_hour=_positive(value, "high_usd_per_hour", where),
        note=_text(value, "note", where),
    )


def _text(fields: Mapping[str, object], key: str, where: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {key} is {value!r}, expected a string")
    return value


def _number(fields: Mapping[str, object], key: str, where: str) -> float:
    value = fields.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"{where}: {key} is {value!r}, expected a number ≥ 0")
    return float(value)


def _positive(fields: Mapping[str, object], key: str, where: str) -> float:
    value = _number(fields, key, where)
    if value == 0:
        raise ConfigError(f"{where}: {key} is missing or zero")
    return value
