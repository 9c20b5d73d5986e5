"""Attention over whole training sequences: the decoder's seam, filled for learning.

The decoder lays tokens end to end; here they are B sequences of T tokens, nothing is cached and
every position is asked at once.

    sdpa_attention    torch's fused kernel: scores live in a tile, memory grows with T
    naive_attention   softmax(q kᵀ / √E + mask) v as written, scores in memory: grows with T²
    tiled_attention   the same for 128 queries at a time over what they see: the default
    linear_attention  φ(q) Σ φ(k) vᵀ / φ(q) Σ φ(k) (arXiv:2006.16236): time grows with T

Shape letters: B sequences, T tokens of each, N = B × T, H query heads, K key/value heads, E size of
a head, V = E + 1, C tokens of a chunk.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 64
_TILE = 128  # tiles of 64 and of all queries are slower (docs/design/log.md)


class MixTokens(Protocol):
    """What mixes tokens, given heads as [B, H, T, E] each."""

    def __call__(self, q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor) -> Tensor: ...


class WholeSequences:
    """An `engine.text.decoder.Attention` of sequences that all have `num_tokens` tokens."""

    def __init__(self, num_tokens: int, mix: MixTokens) -> None:
        self._num_tokens = num_tokens
        self._mix = mix

    def attend(self, layer_idx: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor) -> Tensor:
        del layer_idx  # nothing is kept per layer
        group = q_NHE.shape[1] // k_NKE.shape[1]
        # rotation computes in fp32 where autocast made the products bf16: one dtype again
        q_BHTE = self._heads(q_NHE.to(v_NKE.dtype))
        k_BHTE = self._heads(k_NKE.to(v_NKE.dtype)).repeat_interleave(group, dim=1)
        v_BHTE = self._heads(v_NKE).repeat_interleave(group, dim=1)
        mixed_BHTE = self._mix(q_BHTE, k_BHTE, v_BHTE)
        return mixed_BHTE.transpose(1, 2).reshape(q_NHE.shape[0], -1)

    def _heads(self, x_NHE: Tensor) -> Tensor:
        x_BTHE: Tensor = x_NHE.unflatten(0, (-1, self._num_tokens))
        return x_BTHE.transpose(1, 2)


def sdpa_attention(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor) -> Tensor:
    """Exact attention by torch's fused kernel (on a CPU: FlashAttention-2 tiles)."""
    return F.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, is_causal=True)


def naive_attention(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor) -> Tensor:
    """The same numbers with all T × T scores in memory."""
    scores_BHTT = q_BHTE @ k_BHTE.transpose(-1, -2) / math.sqrt(q_BHTE.shape[-1])
    is_future_TT = torch.ones_like(scores_BHTT[0, 0], dtype=torch.bool).triu(1)
    return scores_BHTT.masked_fill(is_future_TT, -math.inf).softmax(dim=-1) @ v_BHTE


def tiled_attention(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor) -> Tensor:
    """The same numbers, skipping most of what the mask hides; scores in the inputs' dtype.

    On a CPU in bf16, forward and backward, 2.5 times faster than the fused kernel.
    """
    with torch.autocast(q_BHTE.device.type, enabled=False):
        q, k, v = (x.flatten(0, 1) for x in (q_BHTE, k_BHTE, v_BHTE))
        corner = torch.full((_TILE, _TILE), -math.inf, dtype=q.dtype, device=q.device).triu_(1)
        outs = []
        for start, q_tile in zip(range(0, q.shape[1], _TILE), q.split(_TILE, 1), strict=True):
            size = q_tile.shape[1]
            seen = slice(0, start + size)
            mask = F.pad(corner[:size, :size], (start, 0))
            scores = torch.baddbmm(
                mask, q_tile, k[:, seen].transpose(1, 2), alpha=q.shape[-1] ** -0.5
            )
            outs.append(torch.bmm(scores.softmax(dim=-1), v[:, seen]))
        return torch.cat(outs, dim=1).view_as(v_BHTE)


def linear_attention(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor) -> Tensor:
    """Causal linear attention with φ(x) = elu(x) + 1, a chunk of tokens at a time, in fp32.

    Within a chunk as attention without softmax; what came before is one E × E state per head.
    """
    with torch.autocast(q_BHTE.device.type, enabled=False):
        q, k = feature_map(q_BHTE), feature_map(k_BHTE)
        # a column of ones beside the values sums the weights, which normalise
        v = F.pad(v_BHTE.float(), (0, 1), value=1.0)
        outs, state_BHEV = [], q.new_zeros((*q.shape[:2], q.shape[-1], v.shape[-1]))
        for q_C, k_C, v_C in zip(*(x.split(_CHUNK, dim=2) for x in (q, k, v)), strict=True):
            within = (q_C @ k_C.transpose(-1, -2)).tril()
            outs.append(within @ v_C + q_C @ state_BHEV)
            state_BHEV = state_BHEV + k_C.transpose(-1, -2) @ v_C
        out = torch.cat(outs, dim=2)
        return (out[..., :-1] / out[..., -1:]).to(v_BHTE.dtype)


def feature_map(x: Tensor) -> Tensor:
    """elu(x) + 1 > 0 in fp32."""
    return F.elu(x.float()) + 1


class LinearCache:
    """Linear attention of one sequence that grows: all it remembers is one state per layer.

    An `engine.text.decoder.Attention` beside `ContiguousAttention`, whose memory and time per token
    grow with the context; here both stay.
    """

    def __init__(self, num_layers: int) -> None:
        self._states_HEV: list[Tensor | None] = [None] * num_layers

    def attend(self, layer_idx: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor) -> Tensor:
        """Of the next N tokens; the state moves on at once, layer by layer."""
        group = q_NHE.shape[1] // k_NKE.shape[1]
        q_HNE, k_HNE = (feature_map(x).transpose(0, 1) for x in (q_NHE, k_NKE))
        k_HNE = k_HNE.repeat_interleave(group, dim=0)
        v_HNV = F.pad(v_NKE.float(), (0, 1), value=1.0).transpose(0, 1)
        v_HNV = v_HNV.repeat_interleave(group, dim=0)
        state_HEV = self._states_HEV[layer_idx]
        out_HNV = (q_HNE @ k_HNE.transpose(-1, -2)).tril() @ v_HNV
        added_HEV = k_HNE.transpose(-1, -2) @ v_HNV
        if state_HEV is not None:
            out_HNV, added_HEV = out_HNV + q_HNE @ state_HEV, added_HEV + state_HEV
        self._states_HEV[layer_idx] = added_HEV
        out_HNE = out_HNV[..., :-1] / out_HNV[..., -1:]
        return out_HNE.transpose(0, 1).flatten(1).to(q_NHE.dtype)
