"""A Llama-family decoder in one file: what every layer computes, and nothing about serving.

    x = embedding[token_ids]
    per layer:  x = x + out(attention(rope(qkv(rms_norm(x)))))
                x = x + down(silu(gate) * up)        with gate, up = gate_up(rms_norm(x))
    logits = head(rms_norm(x))

Tokens of any number of sequences lie end to end along N: everything but attention works on each
token alone. Attention is the seam. It is handed in, owns the cached keys and values and knows
which tokens belong together; `ContiguousAttention` below serves one sequence and shows the
mathematics, `paged_attention.PagedAttention` serves a batch.

Shape letters: N tokens in this call, T tokens in context, D hidden size, V vocabulary, R rows whose
logits are wanted, H query heads, K key/value heads, G = H / K query heads per key/value head,
E size of a head, X = H * E, F feed-forward size.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig, RopeScaling


class Linear(Protocol):
    """x @ weight.T + bias over the last axis."""

    def __call__(self, x_NI: Tensor) -> Tensor: ...


class Attention(Protocol):
    def attend(self, layer_idx: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor) -> Tensor:
        """Cache keys and values of the new tokens; return what each token sees, as [N, X]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Weights of one layer. Matrices that read the same input are one matrix: fewer, larger."""

    attention_norm_D: Tensor
    qkv: Linear  # D → queries, keys, values: (H + 2K) * E
    out: Linear  # X → D
    ffn_norm_D: Tensor
    gate_up: Linear  # D → 2F
    down: Linear  # F → D


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderWeights:
    embedding_VD: Tensor
    layers: tuple[Layer, ...]
    final_norm_D: Tensor
    head: Linear  # D → V
    num_bytes: int  # on their device


class Decoder:
    def __init__(self, config: DecoderConfig, weights: DecoderWeights) -> None:
        self.config = config
        self.device = weights.embedding_VD.device
        self.dtype = weights.embedding_VD.dtype
        self.weight_bytes = weights.num_bytes
        self._weights = weights
        self._eps = torch.tensor(config.norm_eps, device=self.device)
        self._inv_freq_E = rope_inv_freq(config).repeat(2).to(self.device)

    def hidden(self, token_ids_N: Tensor, positions_N: Tensor, attention: Attention) -> Tensor:
        """Hidden states [N, D] after the last layer; `logits` turns chosen rows into logits."""
        rotation = self._rotation(positions_N)
        # The sum over layers is kept in fp32: in bf16 its rounding is half of all error.
        x_ND = F.embedding(token_ids_N, self._weights.embedding_VD).float()
        for layer_idx, layer in enumerate(self._weights.layers):
            # not in place: training differentiates through this very code
            x_ND = x_ND + self._attention_block(layer_idx, layer, x_ND, rotation, attention)
            x_ND = x_ND + self._ffn_block(layer, x_ND)
        return x_ND

    def logits(self, x_RD: Tensor) -> Tensor:
        return self._weights.head(self._rms_norm(x_RD, self._weights.final_norm_D))

    def _attention_block(
        self,
        layer_idx: int,
        layer: Layer,
        x_ND: Tensor,
        rotation: tuple[Tensor, Tensor],
        attention: Attention,
    ) -> Tensor:
        num_q, num_kv = self.config.num_heads, self.config.num_kv_heads
        qkv = layer.qkv(self._rms_norm(x_ND, layer.attention_norm_D))
        heads = qkv.view(-1, num_q + 2 * num_kv, self.config.head_dim)
        qk, v_NKE = heads.split_with_sizes((num_q + num_kv, num_kv), dim=1)
        q_NHE, k_NKE = apply_rope(qk, *rotation).split_with_sizes((num_q, num_kv), dim=1)
        return layer.out(attention.attend(layer_idx, q_NHE, k_NKE, v_NKE))

    def _ffn_block(self, layer: Layer, x_ND: Tensor) -> Tensor:
        gate_up = layer.gate_up(self._rms_norm(x_ND, layer.ffn_norm_D))
        gate_NF, up_NF = gate_up.chunk(2, dim=-1)
        return layer.down(F.silu(gate_NF).mul_(up_NF))

    def _rms_norm(self, x_ND: Tensor, weight_D: Tensor) -> Tensor:
        """x / √(|x|² / D + ε) · weight (arXiv:1910.07467), in fp32, then the weights' dtype.

        Written out: it takes fewer kernels than F.rms_norm, which is no single one on a CPU.
        """
        norm_N1 = torch.linalg.vector_norm(x_ND, dim=-1, keepdim=True)
        mean_square_N1 = torch.addcmul(
            self._eps, norm_N1, norm_N1, value=1 / self.config.hidden_size
        )
        return (x_ND * mean_square_N1.rsqrt_()).mul_(weight_D).to(self.dtype)

    def _rotation(self, positions_N: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin [N, 1, E], once per call; sin's first half is negated for `apply_rope`."""
        angles_NE = positions_N[:, None] * self._inv_freq_E
        sin_NE = angles_NE.sin()
        sin_NE[:, : self.config.head_dim // 2].neg_()
        return angles_NE.cos().to(self.dtype)[:, None], sin_NE.to(self.dtype)[:, None]


def rope_inv_freq(config: DecoderConfig) -> Tensor:
    """Rotary frequencies θ^(-2i/E) for i < E/2 (arXiv:2104.09864), stretched by the scaling."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    inv_freq = 1.0 / config.rope_theta**exponents
    scaling = config.rope_scaling
    if scaling is None:
        return inv_freq
    if scaling.kind == "linear":
        return inv_freq / scaling.factor
    return _llama3_inv_freq(inv_freq, scaling)


def _llama3_inv_freq(inv_freq: Tensor, scaling: RopeScaling) -> Tensor:
    """Share of the original frequency kept: 1 for short wavelengths, 0 for long, a ramp between."""
    turns_in_context = scaling.original_context * inv_freq / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns_in_context - low) / (high - low)).clamp(0, 1)
    return kept * inv_freq + (1 - kept) * inv_freq / scaling.factor


def apply_rope(x_NJE: Tensor, cos_N1E: Tensor, signed_sin_N1E: Tensor) -> Tensor:
    """Rotate each pair (x[i], x[i + E/2]) by its angle: x · cos + swap_halves(x) · (∓sin).

    The swap is a roll by half a head; the minus that the first half needs sits in the sine.
    """
    swapped = x_NJE.roll(x_NJE.shape[-1] // 2, dims=-1)
    return (x_NJE * cos_N1E).addcmul_(swapped, signed_sin_N1E)


class ContiguousAttention:
    """Attention of one sequence over a cache in token order.

    Call `advance` after each forward pass: all layers of a pass write the same positions.
    """

    def __init__(self, decoder: Decoder, max_tokens: int) -> None:
        config = decoder.config
        shape = (config.num_layers, max_tokens, config.num_kv_heads, config.head_dim)
        self._keys_LTKE = torch.zeros(shape, device=decoder.device, dtype=decoder.dtype)
        self._values_LTKE = torch.zeros_like(self._keys_LTKE)
        self.num_cached = 0

    def attend(self, layer_idx: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor) -> Tensor:
        """softmax(q kᵀ / √E + mask) v; every G query heads share one key/value head."""
        start, end = self.num_cached, self.num_cached + len(q_NHE)
        self._keys_LTKE[layer_idx, start:end] = k_NKE
        self._values_LTKE[layer_idx, start:end] = v_NKE
        keys_TKE = self._keys_LTKE[layer_idx, :end].float()
        values_TKE = self._values_LTKE[layer_idx, :end].float()

        q_NKGE = q_NHE.float().unflatten(1, (k_NKE.shape[1], -1))
        scores_KGNT = torch.einsum("nkge,tke->kgnt", q_NKGE, keys_TKE) / math.sqrt(q_NHE.shape[-1])
        is_future_NT = torch.ones_like(scores_KGNT[0, 0], dtype=torch.bool).triu(start + 1)
        weights_KGNT = scores_KGNT.masked_fill(is_future_NT, -math.inf).softmax(dim=-1)
        out_NKGE = torch.einsum("kgnt,tke->nkge", weights_KGNT, values_TKE)
        return out_NKGE.flatten(1).to(q_NHE.dtype)

    def advance(self, num_tokens: int) -> None:
        self.num_cached += num_tokens
