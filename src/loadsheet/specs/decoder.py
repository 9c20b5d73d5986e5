"""Decoder-only language models: what one layer holds, and how often it repeats."""

from dataclasses import dataclass, field
from enum import StrEnum


class Norm(StrEnum):
    RMS = "rms"  # one scale per channel
    LAYER = "layer"  # scale and shift


class QkNorm(StrEnum):
    NONE = "none"
    PER_HEAD = "per_head"  # one vector of head_dim, shared by the heads
    FULL = "full"  # over all heads at once


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedAttention:
    """Multi-head attention; `kv_heads` < `heads` is grouped-query, 1 is multi-query."""

    heads: int
    kv_heads: int
    head_dim: int
    has_qkv_bias: bool = False
    has_out_bias: bool = False
    qk_norm: QkNorm = QkNorm.NONE
    window: int | None = None  # tokens a query sees at most; None sees all
    has_sinks: bool = False  # one learned logit per head


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2): the cache holds a compressed vector per token."""

    heads: int
    q_rank: int | None  # None projects queries directly
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    window: int | None = None

    @property
    def qk_dim(self) -> int:
        return self.nope_dim + self.rope_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseMlp:
    width: int
    is_gated: bool = True
    has_bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """`active` of `num` routed experts per token, plus a shared one of `shared_width` for all."""

    num: int
    active: int
    width: int
    shared_width: int = 0
    has_shared_gate: bool = False
    has_router_bias: bool = False
    has_correction: bool = False  # a stored offset per expert that balances the load (V3)
    has_bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """`count` equal layers. Order among groups does not change any cost."""

    count: int
    attention: GroupedAttention | LatentAttention
    feed_forward: DenseMlp | Experts


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleNames:
    """Module paths of the Hugging Face class, for a breakdown a reader can look up."""

    embed: str = "model.embed_tokens"
    positions: str = "position_embeddings"
    layers: str = "model.layers"
    norms: tuple[str, ...] = (  # of a layer; the first `norms_per_layer`
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    )
    attention: str = "self_attn"
    qkv: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    out: str = "o_proj"
    mlp: str = "mlp"  # empty: its products stand in the layer itself
    up: tuple[str, ...] = ("gate_proj", "up_proj")
    down: str = "down_proj"
    norm: str = "model.norm"
    head: str = "lm_head"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSpec:
    family: str
    hidden_size: int
    vocab_size: int
    layers: tuple[LayerGroup, ...]
    max_context: int
    norm: Norm = Norm.RMS
    norms_per_layer: int = 2
    num_positions: int = 0  # learned position embeddings
    is_tied: bool = False  # the head shares the embedding's matrix
    has_head: bool = True
    has_head_bias: bool = False
    names: ModuleNames = field(default_factory=ModuleNames)

    @property
    def num_layers(self) -> int:
        return sum(group.count for group in self.layers)
