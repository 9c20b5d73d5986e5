"""Seconds of one iteration of a language model over `tp` devices.

Products are sharded as Megatron-LM does: projections into heads, gates and experts by columns, the
way back by rows, followed by an all-reduce of the hidden states; attention by heads. Experts may
be spread whole over `ep` devices instead.
"""

from dataclasses import dataclass, replace

from loadsheet.cost.components import operators
from loadsheet.cost.kernel.allreduce import allreduce_seconds
from loadsheet.cost.kernel.operator_time import Software, operator_seconds
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.cost.serving.software import TextEngine
from loadsheet.cost.shape import Span, TokenShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.decoder import DecoderSpec, GroupedAttention, LatentAttention
from loadsheet.specs.pipeline import Component
from loadsheet.specs.precision import Precision

_ROW_SHARDED = ("o_proj", "down_proj", "down", "dense", "out_proj", "fc2", "c_proj")
_DENSE_ROWS = 256  # tokens from which products run at the arithmetic limit
_WHOLE = ("gate", "q_a_proj", "kv_a_proj_with_mqa")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModel:
    """A decoder on `tp` devices in one precision."""

    component: Component
    device: Device
    precision: Precision
    tp: int = 1
    ep: int = 1

    def __post_init__(self) -> None:
        heads = min(group.attention.heads for group in self.spec.layers)
        if self.tp < 1 or self.ep < 1:
            raise ConfigError(f"tp {self.tp} and ep {self.ep} must be 1 or more")
        if self.tp > heads:
            raise ConfigError(f"tp {self.tp} is more than the {heads} heads there are to share")

    @property
    def spec(self) -> DecoderSpec:
        spec = self.component.spec
        if not isinstance(spec, DecoderSpec):
            raise ConfigError(f"{self.component.name} is no language model")
        return spec


def step_seconds(model: TextModel, shape: TokenShape, engine: TextEngine) -> float:
    """Every kernel and all-reduce of one pass, without the host's work per iteration. Prompts have
    no captured graph: a short one over many devices is as slow as the host issues its kernels."""
    kernels = step_kernels(model, shape, engine)
    walked = operators(model.component, shape, model.precision)
    device_s = sum(
        op.count * operator_seconds(sharded(op, model), model.device, kernels) for op in walked
    )
    pass_s = device_s + exchange_seconds(model, shape, engine)
    if shape.tokens == 1:
        return pass_s
    launches = sum(op.count for op in walked if op.num_bytes)
    return max(pass_s, launches * engine.eager_us * 1e-6)


def step_kernels(model: TextModel, shape: TokenShape, engine: TextEngine) -> Software:
    """How the engine launches the kernels of this pass."""
    return replace(
        engine.kernels,
        kv_dtype=model.precision.kv,
        is_sustained=shape.rows >= _DENSE_ROWS,  # arithmetic heats the chip, memory much less
    )


def prefill_shape(tokens: int, batch: int = 1, cached: int = 0) -> TokenShape:
    return TokenShape(tokens=tokens, context=tokens + cached, batch=batch, span=Span.SERVED)


def decode_shape(model: TextModel, batch: int, context: int) -> TokenShape:
    is_latent = any(isinstance(group.attention, LatentAttention) for group in model.spec.layers)
    return TokenShape(
        tokens=1, context=max(context, 1), batch=batch, span=Span.SERVED, is_absorbed=is_latent
    )


def sharded(op: Operator, model: TextModel) -> Operator:
    """One device's part of `op`."""
    tp = model.tp
    if tp == 1:
        return op
    leaf = op.name.rsplit(".", 1)[-1]
    if op.kind is OpKind.GROUPED_GEMM and model.ep > 1:
        return replace(op, batch=max(1, round(op.batch / tp)))
    if op.kind in (OpKind.GEMM, OpKind.GROUPED_GEMM):
        if leaf in _WHOLE:
            return op
        if leaf in _ROW_SHARDED:
            return replace(op, k=max(1, op.k // tp))
        return replace(op, n=max(1, op.n // tp))
    if op.attention is not None:
        a = op.attention
        kv_heads = max(1, a.kv_heads // tp)
        heads = max(kv_heads, a.heads // tp // kv_heads * kv_heads)
        return replace(
            op, attention=replace(a, heads=heads, kv_heads=kv_heads), flops=op.flops // tp
        )
    if op.kind is OpKind.POINTWISE:
        return replace(op, bytes_read=op.bytes_read // tp, bytes_written=op.bytes_written // tp)
    return op


def exchange_seconds(model: TextModel, shape: TokenShape, engine: TextEngine) -> float:
    """Two all-reduces of the hidden states per layer."""
    num_bytes = 2.0 * shape.rows * model.spec.hidden_size
    if model.tp == 1:
        return 0.0
    once_s = allreduce_seconds(num_bytes, model.tp, model.device) / engine.link_share
    return 2 * model.spec.num_layers * (once_s + engine.link_us * 1e-6)


def heads_of(spec: DecoderSpec) -> int:
    """KV heads that shards can split; latent attention has one."""
    group = spec.layers[0].attention
    return group.kv_heads if isinstance(group, GroupedAttention) else 1
