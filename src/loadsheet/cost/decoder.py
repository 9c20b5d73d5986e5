"""Operators of one step of a decoder-only model: prefill, decode or a chunk on a cached prefix."""

from loadsheet.cost.operator import AttentionShape, Part
from loadsheet.cost.shape import Logits, Span, TokenShape
from loadsheet.cost.tape import Tape
from loadsheet.specs.decoder import (
    DecoderSpec,
    DenseMlp,
    Experts,
    GroupedAttention,
    LatentAttention,
    LayerGroup,
    Norm,
    QkNorm,
)


def walk(tape: Tape, spec: DecoderSpec, shape: TokenShape) -> None:
    names, width = spec.names, spec.hidden_size
    tape.embedding(names.embed, shape.rows, (spec.vocab_size, width))
    if spec.num_positions:
        tape.embedding(names.positions, shape.rows, (spec.num_positions, width))
    for group in spec.layers:
        _layer(tape.at(f"{names.layers}.*", group.count), spec, group, shape)
    tape.norm(names.norm, shape.rows, width, _norm_params(spec))
    if spec.has_head:
        tape.wide_linear(
            names.head,
            _logit_rows(shape),
            (width, spec.vocab_size),
            bias=spec.has_head_bias,
            tied=spec.is_tied,
        )


def served_pairs(tokens: int, context: int, window: int | None) -> int:
    """(query, key) pairs of the last `tokens` of `context` positions under a causal mask.

    The i-th position sees min(i, window) keys: the sum over i = context - tokens + 1 … context.
    """
    past = context - tokens
    if window is None or window >= context:
        return tokens * past + tokens * (tokens + 1) // 2
    growing = max(0, window - past)  # positions that do not fill the window yet
    return (growing * past + growing * (growing + 1) // 2 if growing else 0) + (
        tokens - growing
    ) * window


def distinct_experts(num: int, active: int, tokens: int) -> float:
    """Experts that at least one of `tokens` reaches when routing is uniform: E(1 - (1 - k/E)^T)."""
    return num * (1.0 - (1.0 - active / num) ** tokens)


def kv_values_per_token(spec: DecoderSpec) -> int:
    """Cached numbers per token over all layers, windows not considered."""
    return sum(group.count * layer_kv_values(group) for group in spec.layers)


def layer_kv_values(group: LayerGroup) -> int:
    attention = group.attention
    if isinstance(attention, LatentAttention):
        return attention.kv_rank + attention.rope_dim
    return 2 * attention.kv_heads * attention.head_dim


def _layer(tape: Tape, spec: DecoderSpec, group: LayerGroup, shape: TokenShape) -> None:
    for name in spec.names.norms[: spec.norms_per_layer]:
        tape.norm(name, shape.rows, spec.hidden_size, _norm_params(spec))
    inner = tape.at(spec.names.attention)
    if isinstance(group.attention, LatentAttention):
        _latent(inner, spec, group.attention, shape)
    else:
        _grouped(inner, spec, group.attention, shape)
    mlp = tape.at(spec.names.mlp) if spec.names.mlp else tape
    if isinstance(group.feed_forward, Experts):
        _experts(mlp, spec, group.feed_forward, shape.rows)
    else:
        _dense(mlp, spec, group.feed_forward, shape.rows)


def _grouped(tape: Tape, spec: DecoderSpec, attention: GroupedAttention, shape: TokenShape) -> None:
    rows, dim = shape.rows, attention.head_dim
    q, kv = attention.heads * dim, attention.kv_heads * dim
    parts = _named(spec.names.qkv, (q, kv, kv))
    tape.linear(
        "qkv_proj",
        rows,
        (spec.hidden_size, q + 2 * kv),
        bias=attention.has_qkv_bias,
        parts=parts,
    )
    if attention.qk_norm is not QkNorm.NONE:
        per_head = attention.qk_norm is QkNorm.PER_HEAD
        tape.norm("qk_norm", rows, q + kv, 2 * dim if per_head else q + kv)
    if not spec.num_positions:
        tape.pointwise("rotary", rows * (q + kv), rows * (q + kv))
    tape.cache_write("kv_write", rows * 2 * kv)
    if attention.has_sinks:
        tape.pointwise("sinks", 0, 0, params=attention.heads)
    tape.attention("attention", _softmax(attention, shape), cached=True)
    tape.linear(spec.names.out, rows, (q, spec.hidden_size), bias=attention.has_out_bias)


def _softmax(attention: GroupedAttention, shape: TokenShape) -> AttentionShape:
    context, pairs = shape.context, shape.tokens * shape.context
    if shape.span is Span.SERVED:
        pairs = served_pairs(shape.tokens, shape.context, attention.window)
        if attention.window is not None:
            context = min(context, attention.window + shape.tokens - 1)
    return AttentionShape(
        batch=shape.batch,
        heads=attention.heads,
        kv_heads=attention.kv_heads,
        qk_dim=attention.head_dim,
        value_dim=attention.head_dim,
        tokens=shape.tokens,
        context=context,
        pairs=pairs,
    )


def _latent(tape: Tape, spec: DecoderSpec, mla: LatentAttention, shape: TokenShape) -> None:
    """Projections as published; the absorbed form trades expansion for wider heads."""
    rows, width, heads = shape.rows, spec.hidden_size, mla.heads
    if mla.q_rank is None:
        tape.linear("q_proj", rows, (width, heads * mla.qk_dim), bias=False)
    else:
        tape.linear("q_a_proj", rows, (width, mla.q_rank), bias=False)
        tape.norm("q_a_layernorm", rows, mla.q_rank, mla.q_rank)
        tape.linear("q_b_proj", rows, (mla.q_rank, heads * mla.qk_dim), bias=False)
    tape.linear("kv_a_proj_with_mqa", rows, (width, mla.kv_rank + mla.rope_dim), bias=False)
    tape.norm("kv_a_layernorm", rows, mla.kv_rank, mla.kv_rank)
    tape.cache_write("kv_write", rows * (mla.kv_rank + mla.rope_dim))
    _latent_attention(tape, mla, shape)
    tape.linear("o_proj", rows, (heads * mla.value_dim, width), bias=False)


def _latent_attention(tape: Tape, mla: LatentAttention, shape: TokenShape) -> None:
    pairs = shape.tokens * shape.context
    served = shape.span is Span.SERVED
    if served:
        pairs = served_pairs(shape.tokens, shape.context, mla.window)
    expanded = shape.rows
    if served and not shape.is_absorbed:
        expanded = shape.batch * shape.context  # a cached prefix is expanded again
    if shape.is_absorbed:
        expanded = shape.rows  # the same products, folded into queries and outputs
    dims = (mla.kv_rank, mla.heads * (mla.nope_dim + mla.value_dim))
    tape.linear("kv_b_proj", expanded, dims, bias=False)
    absorbed = shape.is_absorbed
    attention = AttentionShape(
        batch=shape.batch,
        heads=mla.heads,
        kv_heads=1 if absorbed else mla.heads,
        qk_dim=mla.kv_rank + mla.rope_dim if absorbed else mla.qk_dim,
        value_dim=mla.kv_rank if absorbed else mla.value_dim,
        tokens=shape.tokens,
        context=shape.context,
        pairs=pairs,
        is_latent=absorbed,
    )
    tape.attention("attention", attention, cached=absorbed)


def _dense(tape: Tape, spec: DecoderSpec, mlp: DenseMlp, rows: int) -> None:
    ups = 2 if mlp.is_gated else 1
    parts = _named(spec.names.up, (mlp.width,) * ups)
    tape.linear("up", rows, (spec.hidden_size, ups * mlp.width), bias=mlp.has_bias, parts=parts)
    tape.pointwise("activation", rows * ups * mlp.width, rows * mlp.width)
    tape.linear(spec.names.down, rows, (mlp.width, spec.hidden_size), bias=mlp.has_bias)


def _experts(tape: Tape, spec: DecoderSpec, experts: Experts, rows: int) -> None:
    width, each = spec.hidden_size, experts.width
    tape.wide_linear("gate", rows, (width, experts.num), bias=experts.has_router_bias)
    if experts.has_correction:
        tape.pointwise("gate.e_score_correction_bias", 0, 0, params=experts.num)
    pairs = rows * experts.active
    touched = (experts.num, distinct_experts(experts.num, experts.active, rows))
    tape.experts("experts.up", pairs, (width, 2 * each), touched, bias=experts.has_bias)
    tape.pointwise("experts.activation", pairs * 2 * each, pairs * each)
    tape.experts("experts.down", pairs, (each, width), touched, bias=experts.has_bias)
    if experts.shared_width:
        _dense(tape.at("shared_experts"), spec, DenseMlp(width=experts.shared_width), rows)
    if experts.has_shared_gate:
        tape.linear("shared_expert_gate", rows, (width, 1), bias=False)


def _named(names: tuple[str, ...], columns: tuple[int, ...]) -> tuple[Part, ...]:
    """The modules behind a fused product; a single name means the model fuses them itself."""
    if len(names) == 1:
        return (Part(name=names[0], columns=sum(columns)),)
    return tuple(Part(name=name, columns=width) for name, width in zip(names, columns, strict=True))


def _norm_params(spec: DecoderSpec) -> int:
    return spec.hidden_size * (2 if spec.norm is Norm.LAYER else 1)


def _logit_rows(shape: TokenShape) -> int:
    if shape.logits is Logits.NONE:
        return 0
    return shape.rows if shape.logits is Logits.ALL else shape.batch
