"""Attention of a chunk of prompt: many query tokens of one sequence, each seeing what is before it.

torch's fused attention computes what the causal mask then hides, and on a CPU it is slow for it.
Taking 64 queries at a time, as plain products over just the context they see, runs two to three
times faster there (docs/design/log.md).

Shape letters: N query tokens, K key/value heads, G query heads per key/value head, E size of a
head, T context = past + N, n query tokens of one tile, t context up to its last one.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

_TILE = 64


class ChunkAttention(Protocol):
    def __call__(self, q_NKGE: Tensor, keys_KTE: Tensor, values_KTE: Tensor) -> Tensor:
        """What each query sees of its own position and those before it: [N, K, G, E]."""
        ...


def choose_chunk_attention(
    num_tokens: int, past: int, device: torch.device, scores: torch.dtype
) -> ChunkAttention:
    """Made once per step: the mask is the same in every layer. `scores` is their precision."""
    if device.type == "cpu" and scores == torch.bfloat16:
        return TiledAttention(num_tokens, past, device, scores)
    return FusedAttention(num_tokens, past, device)


class FusedAttention:
    def __init__(self, num_tokens: int, past: int, device: torch.device) -> None:
        is_visible_NT = torch.ones((num_tokens, past + num_tokens), dtype=torch.bool, device=device)
        self._is_visible_NT = is_visible_NT.tril_(past) if past else None

    def __call__(self, q_NKGE: Tensor, keys_KTE: Tensor, values_KTE: Tensor) -> Tensor:
        num_group = q_NKGE.shape[2]
        out_KGNE = F.scaled_dot_product_attention(
            q_NKGE.permute(1, 2, 0, 3),
            keys_KTE[:, None].expand(-1, num_group, -1, -1),
            values_KTE[:, None].expand(-1, num_group, -1, -1),
            attn_mask=self._is_visible_NT,
            is_causal=self._is_visible_NT is None,
        )
        return out_KGNE.permute(2, 0, 1, 3)


class TiledAttention:
    """softmax(q kᵀ / √E + mask) v; the mask only touches a tile's own n × n corner."""

    def __init__(
        self, num_tokens: int, past: int, device: torch.device, scores: torch.dtype
    ) -> None:
        self._past = past
        size = min(_TILE, num_tokens)
        corner = torch.full((size, size), -torch.inf, device=device)
        self._corner = corner.triu_(1).to(scores)
        self._nothing = torch.zeros((1, 1, 1), dtype=scores, device=device)

    def __call__(self, q_NKGE: Tensor, keys_KTE: Tensor, values_KTE: Tensor) -> Tensor:
        out_NKGE = torch.empty_like(q_NKGE, memory_format=torch.contiguous_format)
        for start in range(0, len(q_NKGE), _TILE):
            tile = slice(start, start + _TILE)
            num_seen = self._past + min(start + _TILE, len(q_NKGE))
            out_NKGE[tile] = self._tile(
                q_NKGE[tile], keys_KTE[:, :num_seen], values_KTE[:, :num_seen]
            )
        return out_NKGE

    def _tile(self, q_nKGE: Tensor, keys_KtE: Tensor, values_KtE: Tensor) -> Tensor:
        num_tokens, num_kv, num_group, size_E = q_nKGE.shape
        q_KrE = q_nKGE.permute(1, 2, 0, 3).reshape(num_kv, -1, size_E)  # r = G × n rows
        scores_Krt = torch.baddbmm(  # scaled product: with beta 0 its first argument is not read
            self._nothing, q_KrE, keys_KtE.transpose(1, 2), beta=0, alpha=size_E**-0.5
        )
        corner = scores_Krt.view(num_kv, num_group, num_tokens, -1)[..., -num_tokens:]
        corner += self._corner[:num_tokens, :num_tokens]
        out_KrE = torch.bmm(scores_Krt.softmax(dim=-1), values_KtE)
        return out_KrE.view(num_kv, num_group, num_tokens, size_E).permute(2, 0, 1, 3)
