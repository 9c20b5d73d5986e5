"""Attention of decoding sequences: one query token each, contexts padded to a common length.

torch's fused attention runs two small products per sequence and head. On a CPU that costs more
than it saves for a batch, where two batched products take two thirds of the time; for a single
sequence, and on a GPU, the fused one is faster.

Shape letters: S sequences, K key/value heads, G query heads per key/value head, T padded context,
E size of a head.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.kv_cache import KvCache


class DecodeAttention(Protocol):
    def __call__(self, q_SKGE: Tensor, keys_SKTE: Tensor, values_SKTE: Tensor) -> Tensor:
        """What each query sees of its sequence's visible positions: [S, K, G, E]."""
        ...


def score_dtype(config: DecoderConfig, dtype: torch.dtype) -> torch.dtype:
    """Precision of attention scores: fp32 where biases of keys make them large, which bf16 would
    round to whole numbers. Without, bf16 scores measured the same error as fp32 ones."""
    return torch.float32 if config.has_qkv_bias else dtype


def choose_decode_attention(
    is_visible_ST: Tensor, cache: KvCache, scores: torch.dtype
) -> DecodeAttention:
    """Made once per step: the mask is the same in every layer."""
    bias_ST = torch.zeros(is_visible_ST.shape, device=is_visible_ST.device)
    bias_ST.masked_fill_(~is_visible_ST, -torch.inf)
    if bias_ST.device.type == "cpu" and len(bias_ST) > 1:
        return BatchedAttention(bias_ST.to(scores), cache.num_kv_heads)
    return FusedAttention(bias_ST, cache.dtype)


class FusedAttention:
    """Keeps scores in fp32 by itself."""

    def __init__(self, bias_ST: Tensor, dtype: torch.dtype) -> None:
        self._bias_S11T = bias_ST[:, None, None].to(dtype)

    def __call__(self, q_SKGE: Tensor, keys_SKTE: Tensor, values_SKTE: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(
            q_SKGE, keys_SKTE, values_SKTE, attn_mask=self._bias_S11T
        )


class BatchedAttention:
    """softmax(q kᵀ / √E + bias) v, with scores in the bias's dtype."""

    def __init__(self, bias_ST: Tensor, num_kv: int) -> None:
        self._bias_B1T = bias_ST.repeat_interleave(num_kv, dim=0)[:, None]  # B = S × K

    def __call__(self, q_SKGE: Tensor, keys_SKTE: Tensor, values_SKTE: Tensor) -> Tensor:
        *_, num_group, size_E = q_SKGE.shape
        q_BGE = q_SKGE.to(self._bias_B1T.dtype).reshape(-1, num_group, size_E)
        keys_BTE = keys_SKTE.to(self._bias_B1T.dtype).flatten(0, 1)
        scores_BGT = torch.baddbmm(
            self._bias_B1T, q_BGE, keys_BTE.transpose(1, 2), alpha=size_E**-0.5
        )
        weights_BGT = scores_BGT.softmax(dim=-1).to(values_SKTE.dtype)
        return torch.bmm(weights_BGT, values_SKTE.flatten(0, 1)).view(q_SKGE.shape)
