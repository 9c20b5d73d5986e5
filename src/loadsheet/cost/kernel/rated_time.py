"""Seconds of one operator on a machine that was calibrated itself.

A processor overlaps memory and arithmetic only in part, so the two join in a p-norm of 2 (one
thread's loads and multiplications share its issue slots).
"""

import math

from loadsheet.cost.operator import Operator, OpKind
from loadsheet.hardware.operator_rates import OperatorRates

_PRODUCTS = (OpKind.GEMM, OpKind.GROUPED_GEMM)


def rated_seconds(op: Operator, rates: OperatorRates) -> float:
    """One run of `op`, not multiplied by its count."""
    if not op.num_bytes:
        return 0.0
    return _joined(_arithmetic_s(op, rates), _traffic_s(op, rates)) + rates.launch_s


def _arithmetic_s(op: Operator, rates: OperatorRates) -> float:
    if not op.flops:
        return 0.0
    if op.kind in _PRODUCTS:
        return op.flops / rates.gemm_flops_per_s * (1 + rates.gemm_half_rows / max(op.m, 1))
    if op.kind is OpKind.CONV:
        return op.flops / rates.conv_flops_per_s * (1 + rates.conv_half_rows / max(op.m, 1))
    return op.flops / rates.attention_flops_per_s


def _traffic_s(op: Operator, rates: OperatorRates) -> float:
    moved = op.num_bytes - op.weight_bytes - op.kv_bytes
    return (
        op.weight_bytes / rates.memory_bytes_per_s
        + op.kv_bytes / rates.kv_bytes_per_s
        + moved / rates.pointwise_bytes_per_s
    )


def _joined(first_s: float, second_s: float) -> float:
    return math.hypot(first_s, second_s)
