"""Operators to seconds on a device: the seam that everything above the cost model prices with.

This version is the plain roofline (Williams et al. 2009): the slower of arithmetic at its peak and
memory at its bandwidth, plus a launch. `Calibration` holds what a device and its software reach.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.cost.operator import Operator
from loadsheet.hardware.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Shares of the datasheet peaks that kernels reach, and seconds per launch. The default is
    the bare roofline: a lower bound on the time."""

    compute_share: float = 1.0
    memory_share: float = 1.0
    launch_s: float = 0.0


def operator_seconds(operator: Operator, device: Device, calibration: Calibration) -> float:
    """One run of `operator`, not multiplied by its count."""
    if not operator.num_bytes:
        return 0.0
    compute_s = memory_s = 0.0
    if operator.flops:
        rate = device.flops_per_s(operator.dtype) * calibration.compute_share
        compute_s = operator.flops / rate
    memory_s = operator.num_bytes / (device.memory_bytes_per_s * calibration.memory_share)
    return max(compute_s, memory_s) + calibration.launch_s


def seconds(operators: Iterable[Operator], device: Device, calibration: Calibration) -> float:
    """All operators one after the other."""
    return sum(op.count * operator_seconds(op, device, calibration) for op in operators)
