"""Operators of recurrent layers and linear attention, to set beside softmax attention.

A recurrence reads its weights again for every token of a lone sequence, because token t needs the
state after t - 1: prefill is as serial as decode. Linear attention and Mamba-2 are recurrences
too, but linear ones, so a chunk of tokens can be multiplied at once.
"""

from dataclasses import dataclass, replace

from loadsheet.cost.decoder import served_pairs
from loadsheet.cost.operator import AttentionShape
from loadsheet.cost.shape import Span, TokenShape
from loadsheet.cost.tape import Tape
from loadsheet.specs.recurrent import (
    GatedRecurrentSpec,
    LinearAttentionSpec,
    Mamba2Spec,
    RecurrentSpec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxSpec:
    """A stack of plain attention layers (projections and softmax, no MLP), the other side."""

    hidden_size: int
    num_layers: int
    heads: int


SequenceSpec = RecurrentSpec | SoftmaxSpec


def walk(tape: Tape, spec: SequenceSpec, shape: TokenShape) -> None:
    layer = tape.at("layers.*", spec.num_layers)
    if isinstance(spec, GatedRecurrentSpec):
        _gated(layer, spec, shape)
    elif isinstance(spec, LinearAttentionSpec):
        _linear(layer, spec, shape)
    elif isinstance(spec, Mamba2Spec):
        _mamba2(layer, spec, shape)
    else:
        _softmax(layer, spec, shape)


def state_values(spec: SequenceSpec, context: int) -> int:
    """Numbers one sequence carries from token to token."""
    if isinstance(spec, GatedRecurrentSpec):
        each = (2 if spec.gates == 4 else 1) * spec.hidden_size  # LSTM: cell and output
    elif isinstance(spec, LinearAttentionSpec):
        each = spec.heads * spec.key_dim * (spec.value_dim + 1)  # the matrix and its normaliser
    elif isinstance(spec, Mamba2Spec):
        inner = spec.heads * spec.head_dim
        window = (spec.kernel - 1) * (inner + 2 * spec.groups * spec.state_dim)
        each = inner * spec.state_dim + window
    else:
        each = 2 * spec.hidden_size * context
    return spec.num_layers * each


def serial_steps(spec: SequenceSpec, tokens: int) -> int:
    """Dependent steps along the sequence in prefill: the depth that no hardware removes."""
    if isinstance(spec, GatedRecurrentSpec):
        return tokens
    if isinstance(spec, Mamba2Spec):
        return -(-tokens // spec.chunk)
    return 1


def _gated(tape: Tape, spec: GatedRecurrentSpec, shape: TokenShape) -> None:
    """Input products of all tokens at once; the recurrent product one token at a time."""
    width, gates = spec.hidden_size, spec.gates
    tape.linear("input", shape.rows, (width, gates * width))
    step = replace(tape, times=tape.times * shape.tokens)
    step.linear("recurrent", shape.batch, (width, gates * width), bias=False)
    step.pointwise("gates", shape.batch * 2 * gates * width, shape.batch * 2 * width)


def _linear(tape: Tape, spec: LinearAttentionSpec, shape: TokenShape) -> None:
    """State update k vᵀ and read-out q S: 2 d_k d_v each per token and head."""
    width, heads = spec.hidden_size, spec.heads
    key, value = heads * spec.key_dim, heads * spec.value_dim
    tape.linear("qkv", shape.rows, (width, 2 * key + value), bias=False)
    per_token = 4 * heads * spec.key_dim * spec.value_dim
    state = shape.batch * heads * spec.key_dim * spec.value_dim
    moved = shape.rows * (2 * key + value)
    tape.scan("scan", shape.rows * per_token, moved + state, shape.rows * value + state)
    tape.linear("out", shape.rows, (value, width), bias=False)


def _mamba2(tape: Tape, spec: Mamba2Spec, shape: TokenShape) -> None:
    """Chunked state-space duality (Dao & Gu 2024, section 6): within a chunk quadratic products,
    across chunks the state; one token alone only updates and reads its state."""
    inner, state = spec.heads * spec.head_dim, spec.groups * spec.state_dim
    dims = (spec.hidden_size, 2 * inner + 2 * state + spec.heads)
    tape.linear("in_proj", shape.rows, dims, bias=False)
    channels = inner + 2 * state
    tape.pointwise("conv1d", shape.rows * channels, shape.rows * channels)
    chunk = min(spec.chunk, shape.tokens)
    within = 2 * chunk * (state + inner) if chunk > 1 else 0
    per_token = within + 4 * inner * spec.state_dim
    held = shape.batch * inner * spec.state_dim
    tape.scan(
        "ssd", shape.rows * per_token, shape.rows * channels + held, shape.rows * inner + held
    )
    tape.linear("out_proj", shape.rows, (inner, spec.hidden_size), bias=False)


def _softmax(tape: Tape, spec: SoftmaxSpec, shape: TokenShape) -> None:
    width, dim = spec.hidden_size, spec.hidden_size // spec.heads
    tape.linear("qkv", shape.rows, (width, 3 * width), bias=False)
    pairs = shape.tokens * shape.context
    if shape.span is Span.SERVED:
        pairs = served_pairs(shape.tokens, shape.context, None)
    attention = AttentionShape(
        batch=shape.batch,
        heads=spec.heads,
        kv_heads=spec.heads,
        qk_dim=dim,
        value_dim=dim,
        tokens=shape.tokens,
        context=shape.context,
        pairs=pairs,
    )
    tape.attention("attention", attention, cached=True)
    tape.linear("out", shape.rows, (width, width), bias=False)
