"""Recurrent layers, described only to contrast them with attention."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedRecurrentSpec:
    """A stack of LSTM (`gates` 4) or GRU (`gates` 3) layers of width `hidden_size`."""

    hidden_size: int
    num_layers: int
    gates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearAttentionSpec:
    """Attention with a feature map instead of softmax: one key-by-value matrix per head is all
    the state (Katharopoulos et al. 2020)."""

    hidden_size: int
    num_layers: int
    heads: int
    key_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2Spec:
    """Mamba-2 (Dao & Gu 2024): scalar decay per head, chunked matmuls in prefill."""

    hidden_size: int
    num_layers: int
    heads: int
    head_dim: int
    state_dim: int
    groups: int
    kernel: int
    chunk: int


RecurrentSpec = GatedRecurrentSpec | LinearAttentionSpec | Mamba2Spec
