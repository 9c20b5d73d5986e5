"""What one pass asks of a device's two resources, arithmetic and memory.

A kernel occupies the resource that bounds it for as long as it runs; of the other it takes what
its FLOPs or bytes need at the datasheet's rate. So neither demand exceeds the time that the pass
takes, and two passes that overlap perfectly are as long as the larger sum.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.cost.kernel.operator_time import Software, operator_seconds
from loadsheet.cost.operator import Operator
from loadsheet.hardware.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDemand:
    """Seconds: `alone_s` by itself, `arithmetic_s` and `memory_s` of each resource, of which
    `weights_s` reads weights."""

    alone_s: float
    arithmetic_s: float
    memory_s: float
    weights_s: float

    def __add__(self, other: "ResourceDemand") -> "ResourceDemand":
        return ResourceDemand(
            alone_s=self.alone_s + other.alone_s,
            arithmetic_s=self.arithmetic_s + other.arithmetic_s,
            memory_s=self.memory_s + other.memory_s,
            weights_s=self.weights_s + other.weights_s,
        )

    def __mul__(self, factor: float) -> "ResourceDemand":
        return ResourceDemand(
            alone_s=factor * self.alone_s,
            arithmetic_s=factor * self.arithmetic_s,
            memory_s=factor * self.memory_s,
            weights_s=factor * self.weights_s,
        )


NOTHING = ResourceDemand(alone_s=0.0, arithmetic_s=0.0, memory_s=0.0, weights_s=0.0)


def demand_of(
    operators: Iterable[Operator], device: Device, software: Software, host_s: float = 0.0
) -> ResourceDemand:
    """Of one pass. The host's time holds up a pass alone; others may run meanwhile."""
    sums = NOTHING
    for op in operators:
        sums = sums + _operator(op, device, software) * op.count
    return sums + ResourceDemand(alone_s=host_s, arithmetic_s=0.0, memory_s=0.0, weights_s=0.0)


def _operator(op: Operator, device: Device, software: Software) -> ResourceDemand:
    alone_s = operator_seconds(op, device, software)
    arithmetic_s = op.flops / device.flops_per_s(op.dtype) if op.flops else 0.0
    memory_s = op.num_bytes / device.memory_bytes_per_s
    if arithmetic_s >= memory_s:
        arithmetic_s = alone_s
    else:
        memory_s = alone_s
    memory_s = min(memory_s, alone_s)
    weights_s = memory_s * op.weight_bytes / op.num_bytes if op.num_bytes else 0.0
    return ResourceDemand(
        alone_s=alone_s,
        arithmetic_s=min(arithmetic_s, alone_s),
        memory_s=memory_s,
        weights_s=weights_s,
    )
