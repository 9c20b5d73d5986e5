"""Operators of one pass of a text encoder; `shape.context` equals `shape.tokens`."""

from loadsheet.cost.operator import AttentionShape, Part
from loadsheet.cost.shape import TokenShape
from loadsheet.cost.tape import Tape
from loadsheet.specs.encoder import BertSpec, ClipTextSpec, T5Spec


def full(batch: int, heads: int, dim: int, tokens: int, context: int) -> AttentionShape:
    """Attention without a mask, keys and values as wide as queries."""
    return AttentionShape(
        batch=batch,
        heads=heads,
        kv_heads=heads,
        qk_dim=dim,
        value_dim=dim,
        tokens=tokens,
        context=context,
        pairs=tokens * context,
    )


def qkv(*names: str, width: int) -> tuple[Part, ...]:
    return tuple(Part(name=name, columns=width) for name in names)


def bert(tape: Tape, spec: BertSpec, shape: TokenShape) -> None:
    rows, width = shape.rows, spec.hidden_size
    embed = tape.at("bert.embeddings")
    embed.embedding("word_embeddings", rows, (spec.vocab_size, width))
    embed.embedding("position_embeddings", rows, (spec.num_positions, width))
    embed.embedding("token_type_embeddings", rows, (spec.num_types, width))
    embed.norm("LayerNorm", rows, width, 2 * width)
    layer = tape.at("bert.encoder.layer.*", spec.num_layers)
    parts = qkv("query", "key", "value", width=width)
    attention = layer.at("attention")
    attention.linear("self.qkv", rows, (width, 3 * width), parts=parts)
    dim = width // spec.heads
    attention.attention("self", full(shape.batch, spec.heads, dim, shape.tokens, shape.tokens))
    attention.linear("output.dense", rows, (width, width))
    attention.norm("output.LayerNorm", rows, width, 2 * width)
    _plain_mlp(layer, rows, (width, spec.width), ("intermediate.dense", "output.dense"))
    layer.norm("output.LayerNorm", rows, width, 2 * width)
    if spec.has_pooler:
        tape.linear("bert.pooler.dense", shape.batch, (width, width))
    if spec.num_classes:
        tape.linear("classifier", shape.batch, (width, spec.num_classes))


def clip_text(tape: Tape, spec: ClipTextSpec, shape: TokenShape) -> None:
    """Causal in its mask, dense in its cost: the tower is short and runs unmasked kernels."""
    rows, width = shape.rows, spec.hidden_size
    root = tape.at("text_model")
    root.embedding("embeddings.token_embedding", rows, (spec.vocab_size, width))
    root.embedding("embeddings.position_embedding", rows, (spec.num_positions, width))
    layer = root.at("encoder.layers.*", spec.num_layers)
    layer.norm("layer_norm1", rows, width, 2 * width)
    parts = qkv("q_proj", "k_proj", "v_proj", width=width)
    layer.linear("self_attn.qkv", rows, (width, 3 * width), parts=parts)
    dim = width // spec.heads
    layer.attention("self_attn", full(shape.batch, spec.heads, dim, shape.tokens, shape.tokens))
    layer.linear("self_attn.out_proj", rows, (width, width))
    layer.norm("layer_norm2", rows, width, 2 * width)
    _plain_mlp(layer, rows, (width, spec.width), ("mlp.fc1", "mlp.fc2"))
    root.norm("final_layer_norm", rows, width, 2 * width)
    if spec.projection_dim:
        tape.linear("text_projection", shape.batch, (width, spec.projection_dim), bias=False)


def t5(tape: Tape, spec: T5Spec, shape: TokenShape) -> None:
    rows, width, inner = shape.rows, spec.hidden_size, spec.heads * spec.head_dim
    tape.embedding("shared", rows, (spec.vocab_size, width))
    layer = tape.at("encoder.block.*", spec.num_layers)
    layer.norm("layer.0.layer_norm", rows, width, width)
    attention = layer.at("layer.0.SelfAttention")
    attention.linear(
        "qkv", rows, (width, 3 * inner), bias=False, parts=qkv("q", "k", "v", width=inner)
    )
    owner = attention if spec.has_bias_per_layer else tape.at("encoder.block.0")
    owner.pointwise("relative_attention_bias", 0, 0, params=spec.num_buckets * spec.heads)
    shape_of = full(shape.batch, spec.heads, spec.head_dim, shape.tokens, shape.tokens)
    attention.attention("attention", shape_of)
    attention.linear("o", rows, (inner, width), bias=False)
    layer.norm("layer.1.layer_norm", rows, width, width)
    mlp = layer.at("layer.1.DenseReluDense")
    ups = 2 if spec.is_gated else 1
    parts = qkv("wi_0", "wi_1", width=spec.width) if spec.is_gated else ()
    mlp.linear("wi", rows, (width, ups * spec.width), bias=False, parts=parts)
    mlp.pointwise("act", rows * ups * spec.width, rows * spec.width)
    mlp.linear("wo", rows, (spec.width, width), bias=False)
    tape.norm("encoder.final_layer_norm", rows, width, width)


def _plain_mlp(tape: Tape, rows: int, dims: tuple[int, int], names: tuple[str, str]) -> None:
    width, inner = dims
    tape.linear(names[0], rows, (width, inner))
    tape.pointwise("act", rows * inner, rows * inner)
    tape.linear(names[1], rows, (inner, width))
