"""A model by name or from a folder, and a device by name with the user's price and power."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog, with_price
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Catalog, Entry
from loadsheet.specs.from_hf import from_folder

DEFAULT_DEVICE = "h100-sxm-80gb"


def find_entry(name: str) -> Entry:
    """A catalogue entry, or one made from a local folder with a single `config.json`."""
    folder = Path(name)
    if not folder.is_dir():
        return Catalog().find(name)
    specs = from_folder(folder)
    if list(specs) != ["model"]:
        raise ConfigError(
            f"{folder} holds {', '.join(specs)}; explain one of its component folders"
        )
    return Entry(
        name=folder.resolve().name,
        aliases=(),
        source=str(folder),
        date="",
        checked="file",
        model=specs["model"],
        fields={},
    )


_APPLIES = {
    "decoder": {"input_tokens", "output_tokens", "kv_dtype", "engine"},
    "encoder": {"input_tokens", "pipeline"},
    "pipeline": {"width", "height", "frames", "steps", "pipeline"},
    "vae": {"width", "height", "frames", "pipeline"},
}


def check_applies(entry: Entry, given: Mapping[str, object]) -> None:
    """A size that a kind of model does not have is refused, never ignored."""
    known = _APPLIES[entry.kind]
    for name, value in given.items():
        if value is not None and name not in known:
            raise ConfigError(
                f"{name} is {value}, but {entry.name} ({entry.kind}) has none; "
                f"it takes {', '.join(sorted(known))}"
            )


def find_device(
    name: str, usd_per_hour: float | None = None, power_w: float | None = None
) -> Device:
    """From the catalogue; a given price or power replaces what is written there."""
    device = DeviceCatalog().find(name)
    if usd_per_hour is not None:
        if not isfinite(usd_per_hour):
            raise ConfigError(f"a price of {usd_per_hour} dollars per hour is no number of dollars")
        device = with_price(device, usd_per_hour)
    if power_w is not None:
        if not 0 < power_w < float("inf"):
            raise ConfigError(f"a power of {power_w} W is not above zero")
        device = replace(device, power_w=power_w)
    return device
