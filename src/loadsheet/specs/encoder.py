"""Text encoders: BERT and MiniLM, CLIP's text tower, T5 and umT5."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BertSpec:
    """Post-norm encoder with learned positions. `num_classes` adds a classification head."""

    hidden_size: int
    num_layers: int
    heads: int
    width: int
    vocab_size: int
    num_positions: int
    num_types: int
    has_pooler: bool
    num_classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipTextSpec:
    """CLIP's text tower; `projection_dim` is 0 where only the hidden states are used."""

    hidden_size: int
    num_layers: int
    heads: int
    width: int
    vocab_size: int
    num_positions: int
    projection_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class T5Spec:
    """Encoder half of T5. umT5 learns relative positions in each layer, T5 once."""

    hidden_size: int
    num_layers: int
    heads: int
    head_dim: int
    width: int
    is_gated: bool
    vocab_size: int
    num_buckets: int
    has_bias_per_layer: bool
