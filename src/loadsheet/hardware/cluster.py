"""Several devices: the links between them, nodes, and a cluster read from a file.

name = "two kinds"
[[node]]
name = "big"
device = "h100-sxm"
num_devices = 8
count = 2
zone = "a"
[[node]]
device = "l40s"
num_devices = 4
may_buy = true
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog, with_price
from loadsheet.hardware.device import Device
from loadsheet.settings import Table, read_toml

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction of one device's connection; `latency_s` per hop."""

    name: str
    bytes_per_s: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`num_devices` equal devices with a scale-up link; without one they talk over the host.

    `may_stop` when unused, and then costs nothing; a node that may not is paid in any case.
    """

    device: Device
    num_devices: int
    network: Link
    name: str = ""
    zone: str = ""
    may_stop: bool = True

    @property
    def link(self) -> Link:
        if self.device.link_bytes_per_s:
            name, rate, latency = "scale-up", self.device.link_bytes_per_s / 2, 1e-6
        else:
            name, rate, latency = "host", self.device.host_bytes_per_s, 5e-6
        return Link(name=name, bytes_per_s=rate, latency_s=latency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Nodes and how many of each. Of the devices named in `unlimited` any number may be had, by
    whole nodes."""

    nodes: tuple[tuple[Node, int], ...]
    name: str = ""
    unlimited: frozenset[str] = frozenset()

    @property
    def num_devices(self) -> int:
        return sum(node.num_devices * count for node, count in self.nodes)


def read_cluster(path: Path, catalog: DeviceCatalog) -> Cluster:
    """The cluster of a TOML file (`cluster.schema.json`). Raises ConfigError with the line."""
    table = read_toml(path, "cluster")
    version = table.integer("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise table.wrong("schema_version", str(SCHEMA_VERSION))
    if not table.has("node"):
        raise ConfigError(f"{path}: has no [[node]] table")
    rows = [_node(child, catalog, index) for index, child in enumerate(table.children("node"))]
    cluster = Cluster(
        nodes=tuple((node, count) for node, count, _ in rows),
        name=table.text("name") or path.stem,
        unlimited=frozenset(node.device.name for node, _, may_buy in rows if may_buy),
    )
    table.finish()
    names = [node.name for node, _ in cluster.nodes]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: two nodes share a name: {', '.join(names)}")
    return cluster


def cluster_schema() -> dict[str, object]:
    """The JSON Schema of the format."""
    text = files("loadsheet.hardware").joinpath("cluster.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    assert isinstance(schema, dict)
    return schema


def _node(table: Table, catalog: DeviceCatalog, index: int) -> tuple[Node, int, bool]:
    table.required("device")
    try:
        device = catalog.find(table.text("device") or "")
    except ConfigError as error:
        raise table.error("device", f"names no device: {error}") from error
    usd_per_hour = table.optional_number("usd_per_hour")
    if usd_per_hour is not None:
        if usd_per_hour < 0:
            raise table.wrong("usd_per_hour", "0 or more dollars per device and hour")
        device = with_price(device, usd_per_hour)
    network = Link(
        name="network",
        bytes_per_s=_positive(table, "network_gb_per_s", 12.5) * 1e9,
        latency_s=1e-5,
    )
    node = Node(
        device=device,
        num_devices=_count(table, "num_devices"),
        network=network,
        name=table.text("name") or f"node-{index + 1}",
        zone=table.text("zone") or "",
        may_stop=table.flag("may_stop", True),
    )
    count, may_buy = _count(table, "count"), table.flag("may_buy", False)
    table.finish()
    return node, count, may_buy


def _count(table: Table, key: str) -> int:
    value = table.integer(key, 1)
    if value < 1:
        raise table.wrong(key, "a whole number, expected 1 or more")
    return value


def _positive(table: Table, key: str, default: float) -> float:
    value = table.number(key, default)
    if value <= 0:
        raise table.wrong(key, "a number above 0")
    return value
