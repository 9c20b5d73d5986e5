"""`loadsheet catalog [models|devices] [SEARCH]`: what is known, with sources."""

import argparse
import json
import sys

from loadsheet.cost.components import params
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Catalog, Entry
from loadsheet.specs.pipeline import Role
from loadsheet.table import amount, table
from loadsheet.units import format_bytes


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", choices=["models", "devices"], default="models")
    parser.add_argument("search", nargs="*", metavar="SEARCH", help="words in a name or alias")
    parser.add_argument("--json", action="store_true", help="machine-readable, SI units")


def run(arguments: argparse.Namespace) -> int:
    words = " ".join(arguments.search)
    if arguments.kind == "models":
        return _models(words, as_json=arguments.json)
    return _devices(words, as_json=arguments.json)


def _models(words: str, *, as_json: bool) -> int:
    catalog = Catalog()
    found = catalog.search(words)
    if not found:
        catalog.find(words)  # raises with the nearest names, or finds a variant of one
        found = [catalog.find(words)]
    if as_json:
        sys.stdout.write(json.dumps([_model_fields(entry) for entry in found]) + "\n")
        return 0
    rows = [
        [entry.name, entry.kind, amount(_main_params(entry)), entry.checked, entry.source]
        for entry in found
    ]
    print(table(["model", "kind", "params", "checked by", "source"], rows))
    print(f"\n{len(found)} found")
    return 0


def _devices(words: str, *, as_json: bool) -> int:
    catalog = DeviceCatalog()
    wanted = words.lower().split()
    found = [one for one in catalog.devices() if all(word in one.name for word in wanted)]
    if not found:
        found = [catalog.find(words)]
    if as_json:
        sys.stdout.write(json.dumps([_device_fields(device) for device in found]) + "\n")
        return 0
    rows = [
        [
            device.name,
            format_bytes(device.memory_bytes),
            amount(device.memory_bytes_per_s, "B/s"),
            amount(device.flops_per_s("bf16"), "FLOP/s"),
            f"{device.power_w:.0f} W",
            f"{device.price.low_usd_per_hour:.2f}" if device.price else "",
            "from memory" if device.from_memory else "",
        ]
        for device in found
    ]
    print(table(["device", "memory", "bandwidth", "16-bit", "power", "$/h", "note"], rows))
    print(f"\n{len(found)} found")
    return 0


def _main_params(entry: Entry) -> int:
    """The decoder's, encoder's or denoiser's; both halves of an autoencoder."""
    parts = entry.components()
    main = [part for part in parts if part.role in (Role.DECODER, Role.ENCODER, Role.DENOISER)]
    return sum(params(part) for part in main or parts)


def _model_fields(entry: Entry) -> dict[str, object]:
    return {
        "name": entry.name,
        "aliases": entry.aliases,
        "kind": entry.kind,
        "params": _main_params(entry),
        "checked": entry.checked,
        "source": entry.source,
        "date": entry.date,
        "components": [part.label for part in entry.components()],
    }


def _device_fields(device: Device) -> dict[str, object]:
    price = device.price
    return {
        "name": device.name,
        "vendor": device.vendor,
        "memory_bytes": device.memory_bytes,
        "memory_bytes_per_s": device.memory_bytes_per_s,
        "peak_flops_per_s": dict(device.peak_flops_per_s),
        "measured_flops_per_s": dict(device.measured_flops_per_s),
        "power_w": device.power_w,
        "usd_per_hour": [price.low_usd_per_hour, price.high_usd_per_hour] if price else None,
        "source": device.source,
        "date": device.date,
        "from_memory": device.from_memory,
    }
