"""Formulas with their numbers put in: FLOPs, bytes, seconds and cache of a walked model."""

from loadsheet.cost.memory import kv_bytes_per_token
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.cost.seconds import operator_bound
from loadsheet.hardware.device import Device
from loadsheet.specs.decoder import DecoderSpec, GroupedAttention, LayerGroup
from loadsheet.specs.precision import BITS, Precision
from loadsheet.units import format_seconds


def formula(op: Operator) -> str:
    """`2·m·k·n = 2·512·4096·6144 = 25,769,803,776`, as in the papers; empty without FLOPs."""
    if not op.flops:
        return ""
    shape = op.attention
    if shape is not None:
        return (
            f"2·B·H·pairs·(d_qk+d_v) = 2·{shape.batch}·{shape.heads}·{shape.pairs:,}"
            f"·({shape.qk_dim}+{shape.value_dim}) = {op.flops:,}"
        )
    if op.kind is OpKind.CONV:
        columns = op.n * op.batch
        return f"2·pixels·window·c_out = 2·{op.m:,}·{op.k:,}·{columns:,} = {op.flops:,}"
    if op.kind is OpKind.GROUPED_GEMM:
        pairs = op.flops // (2 * op.n * op.k)
        return f"2·(tokens·active)·k·n = 2·{pairs:,}·{op.k:,}·{op.n:,} = {op.flops:,}"
    if op.kind is OpKind.SCAN:
        return f"state updates and reads = {op.flops:,}"
    many = f"{op.batch}·" if op.batch > 1 else ""
    return f"2·m·k·n = {many}2·{op.m:,}·{op.k:,}·{op.n:,} = {op.flops:,}"


def bytes_formula(op: Operator) -> str:
    """`weights 50,331,648 + activations in 4,194,304 + out 6,291,456 = 60,817,408`."""
    inputs = op.bytes_read - op.weight_bytes - op.kv_bytes
    named = {
        "weights": op.weight_bytes,
        "KV cache": op.kv_bytes,
        "activations in": inputs,
        "out": op.bytes_written,
    }
    terms = " + ".join(f"{name} {value:,}" for name, value in named.items() if value)
    return f"{terms} = {op.num_bytes:,}"


def bound_formula(op: Operator, device: Device) -> str:
    """`max(2.58e+10/9.89e+14, 6.08e+07/3.35e+12) = 26.06 µs`: the roofline of one run."""
    bandwidth = device.memory_bytes_per_s
    bound = format_seconds(operator_bound(op, device))
    if not op.flops:
        return f"{op.num_bytes:.3g}/{bandwidth:.3g} = {bound}"
    rate = device.flops_per_s(op.dtype)
    return f"max({op.flops:.3g}/{rate:.3g}, {op.num_bytes:.3g}/{bandwidth:.3g}) = {bound}"


def kv_formula(spec: DecoderSpec, precision: Precision) -> str:
    """Cache bytes of one token, layer group by layer group."""
    symbols = dict.fromkeys(_kv_symbols(group) for group in spec.layers)
    numbers = " + ".join(_kv_numbers(group, BITS[precision.kv] / 8) for group in spec.layers)
    whole = kv_bytes_per_token(spec, precision)
    return f"KV bytes per token = Σ {' + '.join(symbols)} = {numbers} = {whole:,}"


def _kv_symbols(group: LayerGroup) -> str:
    if isinstance(group.attention, GroupedAttention):
        return "layers·2·kv_heads·head_dim·bytes"
    return "layers·(kv_rank+rope_dim)·bytes"


def _kv_numbers(group: LayerGroup, width: float) -> str:
    attention = group.attention
    if isinstance(attention, GroupedAttention):
        return f"{group.count}·2·{attention.kv_heads}·{attention.head_dim}·{width:g}"
    return f"{group.count}·({attention.kv_rank}+{attention.rope_dim})·{width:g}"
