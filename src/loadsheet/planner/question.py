"""What is asked of the planner: traffic, devices, how careful to be, what-if changes to them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import with_price
from loadsheet.hardware.cluster import Cluster, Node
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.trace import Replay
from loadsheet.workload.traffic import Traffic
from loadsheet.workload.workload import Workload

DEFAULT_SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`seeds` of the simulated check; without any, the plan rests on closed forms alone.
    `max_requests` bounds one simulation; larger clusters are simulated in proportion."""

    workload: Workload
    cluster: Cluster
    changes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    max_requests: int = 2000

    def digest(self) -> str:
        """SHA-256 of everything that the answer depends on."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def with_changes(
    question: Question,
    rates: Sequence[str] = (),
    lost: Sequence[str] = (),
    prices: Sequence[str] = (),
) -> Question:
    """What-if: `x2` or `chat=x2` or `chat=3.5` (requests/s), a node or zone, `h100=2.1`."""
    workload, cluster = question.workload, question.cluster
    for text in rates:
        workload = _with_rate(workload, text)
    for text in lost:
        cluster = _without(cluster, text)
    for text in prices:
        cluster = _with_price(cluster, text)
    flags = [
        *(f"--rate {text}" for text in rates),
        *(f"--lose {text}" for text in lost),
        *(f"--price {text}" for text in prices),
    ]
    return replace(
        question, workload=workload, cluster=cluster, changes=(*question.changes, *flags)
    )


def scaled(traffic: Traffic, factor: float) -> Traffic:
    """The same class, `factor` times as often."""
    match traffic.arrivals:
        case OpenLoop() as process:
            faster = replace(process, rate_rps=process.rate_rps * factor)
            return replace(traffic, arrivals=faster)
        case Replay() as trace:
            return replace(traffic, arrivals=replace(trace, time_scale=trace.time_scale / factor))
        case ClosedLoop() as loop:
            users = max(1, round(loop.concurrency * factor))
            return replace(traffic, arrivals=replace(loop, concurrency=users))


def _with_rate(workload: Workload, text: str) -> Workload:
    name, _, amount = text.rpartition("=")
    names = [traffic.name for traffic in workload.traffic]
    if name and name not in names:
        raise ConfigError(f"--rate {text}: no class {name!r}; there are {', '.join(names)}")
    found = re.fullmatch(r"(x?)(\d+(?:\.\d+)?)", amount)
    if not found or float(found[2]) <= 0 or (not found[1] and not name):
        raise ConfigError(f"--rate {text}: give x2, CLASS=x2 or CLASS=3.5 (requests per second)")
    value = float(found[2])
    traffic = tuple(
        (scaled(one, value) if found[1] else _at_rate(one, value, text))
        if name in ("", one.name)
        else one
        for one in workload.traffic
    )
    return replace(workload, traffic=traffic)


def _at_rate(traffic: Traffic, rate_rps: float, text: str) -> Traffic:
    if not isinstance(traffic.arrivals, OpenLoop):
        raise ConfigError(f"--rate {text}: {traffic.name} has no rate; give a factor, like x2")
    return replace(traffic, arrivals=replace(traffic.arrivals, rate_rps=rate_rps))


def _without(cluster: Cluster, name: str) -> Cluster:
    """Less one node of that name, or a whole zone."""
    names = [node.name for node, _ in cluster.nodes]
    zones = sorted({node.zone for node, _ in cluster.nodes} - {""})
    if name in zones:
        left = [(node, count) for node, count in cluster.nodes if node.zone != name]
    elif name in names:
        left = [(node, count - (node.name == name)) for node, count in cluster.nodes]
    else:
        known = ", ".join([*names, *(f"zone {zone}" for zone in zones)])
        raise ConfigError(f"--lose {name}: no such node or zone; there are {known}")
    left = [(node, count) for node, count in left if count]
    if not left:
        raise ConfigError(
            f"--lose {name}: nothing would be left of {cluster.name or 'the cluster'}"
        )
    return replace(cluster, nodes=tuple(left))


def _with_price(cluster: Cluster, text: str) -> Cluster:
    name, _, amount = text.partition("=")
    try:
        usd_per_hour = float(amount)
    except ValueError:
        raise ConfigError(f"--price {text}: give DEVICE=DOLLARS per device and hour") from None
    key = name.strip().lower()
    devices = sorted({node.device.name for node, _ in cluster.nodes})
    if not key or not any(device.startswith(key) for device in devices):
        raise ConfigError(
            f"--price {text}: no device {name!r} here; there are {', '.join(devices)}"
        )

    def priced(node: Node) -> Node:
        if not node.device.name.startswith(key):
            return node
        return replace(node, device=with_price(node.device, usd_per_hour, f"what if: {text}"))

    return replace(cluster, nodes=tuple((priced(node), count) for node, count in cluster.nodes))
