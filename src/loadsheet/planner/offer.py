"""Devices on offer: of one kind, at one price."""

from dataclasses import dataclass

from loadsheet.errors import ConfigError
from loadsheet.hardware.cluster import Cluster, Node
from loadsheet.hardware.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """`owned` of them, `number` to be had, None for any number; `node_devices` share a fast link.
    `usd_per_hour` of one device is the catalogue's lower price or the user's; those that may not
    stop are paid in any case, so that using them costs nothing."""

    name: str
    device: Device
    owned: int
    number: int | None
    node_devices: int
    usd_per_hour: float | None
    may_stop: bool

    @property
    def marginal_usd(self) -> float:
        return (self.usd_per_hour or 0.0) if self.may_stop else 0.0


def offers_of(cluster: Cluster) -> tuple[Offer, ...]:
    """Equal nodes together; nodes that differ by price or size apart, called DEVICE/NODE."""
    groups: dict[tuple[str, float | None, int, bool], list[tuple[Node, int]]] = {}
    for node, count in cluster.nodes:
        price = node.device.price.low_usd_per_hour if node.device.price else None
        key = (node.device.name, price, node.num_devices, node.may_stop)
        groups.setdefault(key, []).append((node, count))
    names = [key[0] for key in groups]
    offers = []
    for (name, price, size, may_stop), nodes in groups.items():
        owned = sum(count for _, count in nodes) * size
        offers.append(
            Offer(
                name=name if names.count(name) == 1 else f"{name}/{nodes[0][0].name}",
                device=nodes[0][0].device,
                owned=owned,
                number=None if name in cluster.unlimited else owned,
                node_devices=size,
                usd_per_hour=price,
                may_stop=may_stop,
            )
        )
    if not offers:
        raise ConfigError("a cluster without devices; give at least one [[node]]")
    return tuple(offers)
