"""Several devices: the links between them, nodes, and a cluster read from a file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog, with_price
from loadsheet.hardware.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction of one device's connection; `latency_s` per hop."""

    name: str
    bytes_per_s: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`num_devices` equal devices with a scale-up link; without one they talk over the host."""

    device: Device
    num_devices: int
    network: Link

    @property
    def link(self) -> Link:
        if self.device.link_bytes_per_s:
            name, rate, latency = "scale-up", self.device.link_bytes_per_s / 2, 1e-6
        else:
            name, rate, latency = "host", self.device.host_bytes_per_s, 5e-6
        return Link(name=name, bytes_per_s=rate, latency_s=latency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Nodes and how many of each."""

    nodes: tuple[tuple[Node, int], ...]

    @property
    def num_devices(self) -> int:
        return sum(node.num_devices * count for node, count in self.nodes)


def read_cluster(path: Path, catalog: DeviceCatalog) -> Cluster:
    """A TOML file of `[[node]]` tables: device, num_devices, count, network_gb_per_s,
    usd_per_hour (per device, replacing the catalogue's)."""
    try:
        with path.open("rb") as handle:
            fields = tomllib.load(handle)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    tables = fields.get("node")
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"{path}: has no [[node]] table")
    return Cluster(nodes=tuple(_node(table, catalog, str(path)) for table in tables))


_KEYS = {"device", "num_devices", "count", "network_gb_per_s", "usd_per_hour"}


def _node(fields: object, catalog: DeviceCatalog, where: str) -> tuple[Node, int]:
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{where}: node is {fields!r}, expected a table")
    unknown = sorted(set(fields) - _KEYS)
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    device = catalog.find(str(fields.get("device", "")))
    if "usd_per_hour" in fields:
        device = with_price(device, float(fields["usd_per_hour"]))
    rate = float(fields.get("network_gb_per_s", 12.5)) * 1e9
    network = Link(name="network", bytes_per_s=rate, latency_s=1e-5)
    num_devices = _count(fields, "num_devices", where)
    return Node(device=device, num_devices=num_devices, network=network), _count(
        fields, "count", where
    )


def _count(fields: Mapping[str, object], key: str, where: str) -> int:
    value = fields.get(key, 1)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{where}: {key} is {value!r}, expected a whole number ≥ 1")
    return value
