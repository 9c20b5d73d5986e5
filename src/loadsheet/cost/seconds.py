"""Operators to seconds on a device: what kernels take, and the bound that none can beat.

`seconds` is the calibrated kernel model (tiles, waves, launches; `cost/kernel`). `bound_seconds` is
the plain roofline (Williams et al. 2009): the slower of arithmetic at its datasheet peak and memory
at its datasheet bandwidth. A compiled engine fuses norms and activations into its products, so on
those lines alone the expected time may lie below the bound of the unfused operator.
"""

from collections.abc import Iterable

from loadsheet.cost.kernel.operator_time import Software, operator_seconds
from loadsheet.cost.operator import Operator
from loadsheet.hardware.device import Device


def seconds(operators: Iterable[Operator], device: Device, software: Software) -> float:
    """Expected time of all operators one after the other, without the host."""
    return sum(op.count * operator_seconds(op, device, software) for op in operators)


def bound_seconds(operators: Iterable[Operator], device: Device) -> float:
    """The bare roofline of all operators one after the other."""
    return sum(op.count * operator_bound(op, device) for op in operators)


def operator_bound(operator: Operator, device: Device) -> float:
    """One run of `operator`, not multiplied by its count."""
    memory_s = operator.num_bytes / device.memory_bytes_per_s
    if not operator.flops:
        return memory_s
    return max(operator.flops / device.flops_per_s(operator.dtype), memory_s)
