"""Seconds of one all-reduce inside a node, launched in a graph: the cheapest of three ways.

One-shot: every device reads all others' buffers. Two-shot: reduce-scatter, then all-gather, of
peers directly. Ring: the library's, also beyond the buffers of the first two. Over a switch fabric
every device has its own link; over PCIe more than two devices share what the host lets through.
"""

from dataclasses import dataclass

from loadsheet.cost.kernel.links import LinkConstants, links_named
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device

_DIRECT_LIMIT_BYTES = 8 * 2**20  # shared buffers of the direct kernels
_SHARED_FROM = 4  # devices from which PCIe traffic meets at the host
_NODE = 72


def allreduce_seconds(num_bytes: float, num_devices: int, device: Device) -> float:
    """`num_bytes` is one device's whole buffer."""
    if num_bytes < 0 or num_devices < 1:
        raise ConfigError(
            f"an all-reduce of {num_bytes} bytes over {num_devices} devices is impossible"
        )
    if num_devices == 1 or num_bytes == 0:
        return 0.0
    c = links_named(_kind(device))
    rate = device.link_bytes_per_s / 2 if device.link_bytes_per_s else device.host_bytes_per_s
    if not rate:
        raise ConfigError(f"{device.name} has no link and no host rate to all-reduce over")
    return reduced_seconds(num_bytes, num_devices, rate, c)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    fixed_us: float
    volume: float  # bytes through a device's link per byte of the buffer
    share: float


def reduced_seconds(num_bytes: float, n: int, rate: float, c: LinkConstants) -> float:
    """The model on explicit constants; `rate` is one direction of one device's link."""
    halves = 2.0 * (n - 1) / n
    is_shared = bool(c.host_share) and n >= _SHARED_FROM
    two_share = c.host_share / n if is_shared else c.two_shot_share
    ring_share = two_share if is_shared else c.ring_share
    if n == 2:
        ring_share *= c.pair_share
    if n >= c.multicast_from:
        ring_share *= c.multicast_gain
    ring = _Way(fixed_us=c.ring_us + c.ring_peer_us * (n - 2), volume=halves, share=ring_share)
    ways = [ring]
    if num_bytes < _DIRECT_LIMIT_BYTES:
        one_us = c.one_shot_us + c.peer_us * (n - 2)
        ways.append(_Way(fixed_us=one_us, volume=n - 1.0, share=c.one_shot_share))
        ways.append(_Way(fixed_us=one_us + c.phase_us, volume=halves, share=two_share))
    return min(way.fixed_us * 1e-6 + num_bytes * way.volume / (rate * way.share) for way in ways)


def _kind(device: Device) -> str:
    if not device.link_bytes_per_s:
        return "pcie"
    return "nvswitch-3" if device.link_bytes_per_s >= 900e9 else "nvswitch-2"
