"""What work costs in energy and money: estimates from a device's power and price per hour.

Energy takes the board's full power for the whole time: an upper estimate, because decoding leaves
arithmetic idle and draws less. Dollars take the range of dated offers in the device's file, or the
price the user sets, for the time the device is busy and not a second of idling.
"""

from dataclasses import dataclass

from loadsheet.hardware.device import Device

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """`low_usd` and `high_usd` are None where the device has no price."""

    per: str
    seconds: float
    energy_j: float
    low_usd: float | None
    high_usd: float | None


def bill(per: str, seconds: float, device: Device, num_devices: int = 1) -> Bill:
    """`seconds` of `num_devices` busy side by side."""
    price, hours = device.price, num_devices * seconds / 3600
    return Bill(
        per=per,
        seconds=seconds,
        energy_j=num_devices * seconds * device.power_w,
        low_usd=None if price is None else hours * price.low_usd_per_hour,
        high_usd=None if price is None else hours * price.high_usd_per_hour,
    )


def million(per: str, units_per_s: float, device: Device, num_devices: int = 1) -> Bill:
    """A million of what comes at `units_per_s`."""
    return bill(f"1M {per}", _MILLION / units_per_s, device, num_devices)


def basis(device: Device) -> str:
    """Where power and price come from."""
    power = (
        f"Estimates. Energy at the board's {device.power_w:.0f} W for the whole time, an upper "
        f"bound.\nSource of the power: {device.source}, {device.date}"
    )
    price = device.price
    if price is None:
        return f"{power}\nNo price is known for {device.name}; set one with --usd-per-hour."
    offers = f"{price.low_usd_per_hour:g} to {price.high_usd_per_hour:g}"
    if price.low_usd_per_hour == price.high_usd_per_hour:
        offers = f"{price.low_usd_per_hour:g}"
    return f"{power}\nDollars at {offers} per device-hour, busy time only: {price.note}"
