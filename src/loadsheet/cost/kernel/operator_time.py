"""Seconds of one operator of a walked model: which kernel it runs as.

`Software` is how it is launched: a graph or compiled engine fuses activations into products and
pays a device-side launch; eager execution pays the host for every operator.
"""

from dataclasses import dataclass

from loadsheet.cost.kernel.attention import AttentionPhase, FusedShape, attention_seconds
from loadsheet.cost.kernel.constants import family_named
from loadsheet.cost.kernel.gemm import GemmShape, gemm_seconds
from loadsheet.cost.kernel.rated_time import rated_seconds
from loadsheet.cost.kernel.silicon import silicon_of
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.hardware.device import Device

_PRODUCTS = (OpKind.GEMM, OpKind.GROUPED_GEMM, OpKind.CONV)


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """`fused_share` of the bytes that norms and activations would move alone are left;
    `conv_share` and `attention_share` scale the rates of those kernels. `launch_share` of the
    benchmarked launch time remains when kernels follow each other in a graph."""

    fused_share: float = 1.0
    conv_share: float = 1.0
    gemm_share: float = 1.0
    grouped_share: float = 1.0  # products of many experts
    attention_share: float = 1.0
    launch_share: float = 1.0
    kv_dtype: str = "bf16"
    is_sustained: bool = False


def operator_seconds(op: Operator, device: Device, software: Software) -> float:
    """One run of `op`, not multiplied by its count."""
    if device.rates is not None:
        return rated_seconds(op, device.rates)
    if op.kind in _PRODUCTS:
        if not op.m:
            return 0.0
        return _product(op, device, software)
    if op.attention is not None and op.attention.tokens:
        return _attention(op, device, software)
    return _pointwise(op, device, software)


def _product(op: Operator, device: Device, software: Software) -> float:
    is_conv, is_grouped = op.kind is OpKind.CONV, op.kind is OpKind.GROUPED_GEMM
    shape = GemmShape(
        m=op.m,
        n=op.n,
        k=max(op.k, 1),
        dtype=op.stored_as,
        batch=op.batch,
        is_fused=True,
        moved_bytes=op.num_bytes - op.weight_bytes if is_conv else None,
        launch_share=software.launch_share,
        is_sustained=software.is_sustained,
        is_ragged=is_grouped,
        peak_share=software.grouped_share if is_grouped else 1.0,
    )
    if is_grouped:
        return gemm_seconds(shape, device)
    return gemm_seconds(shape, device) / (software.conv_share if is_conv else software.gemm_share)


def _attention(op: Operator, device: Device, software: Software) -> float:
    a = op.attention
    assert a is not None
    causal_pairs = a.tokens * (a.tokens + 1) // 2 + a.tokens * (a.context - a.tokens)
    if a.tokens == 1:
        phase, context = AttentionPhase.DECODE, max(a.pairs, 1)
    elif a.pairs == a.tokens * a.context:
        phase, context = AttentionPhase.BIDIRECTIONAL, a.context
    else:
        phase, context = AttentionPhase.PREFILL, a.context
    share = min(1.0, a.pairs / causal_pairs) if phase is AttentionPhase.PREFILL else 1.0
    shape = FusedShape(
        phase=phase,
        batch=a.batch,
        tokens=a.tokens,
        context=context,
        heads=a.heads,
        kv_heads=a.kv_heads,
        head_dim=a.qk_dim // 2 if a.is_latent else max((a.qk_dim + a.value_dim) // 2, 1),
        kv_dtype=software.kv_dtype,
        launch_share=software.launch_share,
        is_sustained=software.is_sustained,
    )
    fused_s = attention_seconds(shape, device)
    if a.is_latent and phase is AttentionPhase.DECODE:  # all heads read one vector: arithmetic too
        fused_s = max(fused_s, op.flops / (0.6 * device.flops_per_s("bf16")))
    return fused_s * share / software.attention_share


def _pointwise(op: Operator, device: Device, software: Software) -> float:
    if not op.num_bytes:
        return 0.0
    c = family_named(silicon_of(device).family).pointwise
    moved_s = op.num_bytes * software.fused_share / (device.memory_bytes_per_s * c.memory_share)
    compute_s = op.flops / device.flops_per_s(op.dtype) if op.flops else 0.0  # a linear scan's
    return max(moved_s, compute_s) + c.launch_us * 1e-6 * software.launch_share
