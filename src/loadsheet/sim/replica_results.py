"""What each replica did in the window: busy time, energy, money, memory."""

from loadsheet.hardware.device import Device
from loadsheet.sim.deployment import ReplicaGroup
from loadsheet.sim.observation import Window
from loadsheet.sim.replica import Replica
from loadsheet.sim.result import ReplicaResult
from loadsheet.sim.span import Span

IDLE_SHARE = 0.2
"""Of the rated power that a device draws with models loaded and nothing to do: a guess between the
10 % of idle datacentre GPUs and what high clocks cost. Busy devices draw all of it, an upper bound
for decode."""


def replica_result(
    replica: Replica, device: Device, window: Window, spans: tuple[Span, ...]
) -> ReplicaResult:
    group, busy_s = replica.group, replica.busy_s()
    up_s = replica.up_s(window.start_s, window.end_s)
    active_s = min(up_s, sum(busy_s.values()) / group.num_lanes)
    watts = device.power_w * group.num_devices
    usd_per_hour = usd_per_device_hour(group, device)
    return ReplicaResult(
        name=replica.name,
        group=group.name,
        num_devices=group.num_devices,
        up_s=up_s,
        busy_s=busy_s,
        num_steps=replica.device.num_steps,
        num_failures=replica.num_failures,
        energy_j=watts * (active_s + IDLE_SHARE * (up_s - active_s)),
        cost_usd=None if usd_per_hour is None else usd_per_hour * group.num_devices * up_s / 3600,
        memory=tuple(replica.memory),
        spans=spans,
    )


def usd_per_device_hour(group: ReplicaGroup, device: Device) -> float | None:
    """The group's own price, or the lower one of the catalogue."""
    if group.usd_per_hour is not None:
        return group.usd_per_hour
    return None if device.price is None else device.price.low_usd_per_hour
