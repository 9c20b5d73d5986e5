"""Seconds of one operator on a machine that was calibrated itself.

A processor overlaps memory and arithmetic only in part, so the two join in a p-norm of 2 (one
thread's loads and multiplications share its issue slots).
"""

import math

from loadsheet.cost.kernel.attention import AttentionPhase, FusedShape
from loadsheet.cost.kernel.gemm import GemmShape
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.hardware.operator_rates import OperatorRates
from loadsheet.specs.precision import BITS

_PRODUCTS = (OpKind.GEMM, OpKind.GROUPED_GEMM)


def rated_seconds(op: Operator, rates: OperatorRates) -> float:
    """One run of `op`, not multiplied by its count."""
    if not op.num_bytes:
        return 0.0
    return _joined(_arithmetic_s(op, rates), _traffic_s(op, rates)) + rates.launch_s


def rated_product_seconds(shape: GemmShape, rates: OperatorRates) -> float:
    """A product outside of any model."""
    product, weights = shape.m * shape.k, shape.k * shape.n
    width = BITS[shape.dtype] / 8
    op = Operator(
        name="product",
        kind=OpKind.GEMM,
        flops=2 * shape.batch * product * shape.n,
        bytes_read=round(shape.batch * width * (product + weights)),
        bytes_written=round(shape.batch * width * shape.m * shape.n),
        weight_bytes=round(shape.batch * width * weights),
        m=shape.m,
    )
    return rated_seconds(op, rates)


def rated_attention_seconds(shape: FusedShape, rates: OperatorRates) -> float:
    """Attention outside of any model; only decoding reads its keys from the cache."""
    pairs = shape.tokens * shape.context
    if shape.phase is AttentionPhase.PREFILL:
        pairs -= shape.tokens * (shape.tokens - 1) // 2
    values = shape.batch * shape.head_dim
    kept = round(2 * values * shape.context * shape.kv_heads * shape.kv_width)
    moved = 2 * 2 * values * shape.tokens * shape.heads
    op = Operator(
        name="attention",
        kind=OpKind.ATTENTION,
        flops=4 * values * pairs * shape.heads,
        bytes_read=kept + moved,
        kv_bytes=kept if shape.phase is AttentionPhase.DECODE else 0,
    )
    return rated_seconds(op, rates)


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
