"""Attention of a ragged batch over the block cache: the engine's side of the decoder's seam.

New keys and values are written to their blocks. Then each group of sequences gathers its blocks
into context order and attends to them:

    decodes   one query token each: one call for all, contexts padded to the longest and masked
    a chunk   many query tokens of one sequence: one call, causal

The G query heads that share a key/value head are treated as G queries of one head, so keys and
values are never repeated.

Shape letters beside the decoder's: S sequences, B blocks in a table, P positions in a block.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loadsheet.engine.text.kv_cache import KvCache
from loadsheet.engine.text.ragged import Ints, RaggedBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Sequences that attend together: their query tokens, cache runs and context length."""

    first: int
    last: int  # exclusive
    runs: Tensor  # keys, then values: [2 × S × K × B]
    num_context: int
    mask: Tensor | None  # added to scores; None: all queries see all of the context
    is_causal: bool = False


class PagedAttention:
    """Made for one step: what is the same in every layer is computed once."""

    def __init__(self, cache: KvCache, batch: RaggedBatch) -> None:
        self._cache = cache
        self._key_rows_NK, self._value_rows_NK = self._write_rows(batch)
        num_decodes, begins = batch.num_decodes, batch.begins
        self._decodes = self._decode_group(batch) if num_decodes else None
        self._chunks = [
            self._chunk_group(batch, idx) for idx in range(num_decodes, len(begins) - 1)
        ]

    def attend(self, layer_idx: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor) -> Tensor:
        positions_QE = self._cache.positions_QE[layer_idx]
        positions_QE[self._key_rows_NK] = k_NKE
        positions_QE[self._value_rows_NK] = v_NKE
        outs = [self._attend_chunk(layer_idx, group, q_NHE) for group in self._chunks]
        if self._decodes is not None:
            outs.insert(0, self._attend_decodes(layer_idx, self._decodes, q_NHE))
        return outs[0] if len(outs) == 1 else torch.cat(outs)

    def _attend_decodes(self, layer_idx: int, group: _Group, q_NHE: Tensor) -> Tensor:
        num_kv, num_seqs = self._cache.num_kv_heads, group.last - group.first
        kv = self._cache.gather(layer_idx, group.runs)
        keys_SKTE, values_SKTE = kv.view(2, num_seqs, num_kv, -1, q_NHE.shape[-1])
        q_SKGE = q_NHE[group.first : group.last].unflatten(1, (num_kv, -1))
        out_SKGE = F.scaled_dot_product_attention(
            q_SKGE, keys_SKTE, values_SKTE, attn_mask=group.mask
        )
        return out_SKGE.reshape(num_seqs, -1)

    def _attend_chunk(self, layer_idx: int, group: _Group, q_NHE: Tensor) -> Tensor:
        num_kv = self._cache.num_kv_heads
        kv = self._cache.gather(layer_idx, group.runs)
        kv = kv.view(2, num_kv, 1, -1, q_NHE.shape[-1])[..., : group.num_context, :]
        q_KGNE = q_NHE[group.first : group.last].unflatten(1, (num_kv, -1)).permute(1, 2, 0, 3)
        keys, values = kv.expand(2, *q_KGNE.shape[:2], *kv.shape[3:])
        out_KGNE = F.scaled_dot_product_attention(
            q_KGNE, keys, values, attn_mask=group.mask, is_causal=group.is_causal
        )
        return out_KGNE.permute(2, 0, 1, 3).reshape(group.last - group.first, -1)

    def _decode_group(self, batch: RaggedBatch) -> _Group:
        num_seqs = batch.num_decodes
        contexts_S = batch.past_S[:num_seqs] + 1
        num_blocks = -(-int(contexts_S.max()) // self._cache.block_tokens)
        num_positions = num_blocks * self._cache.block_tokens
        is_visible_ST = np.arange(num_positions) < contexts_S[:, None]
        return _Group(
            first=0,
            last=num_seqs,
            runs=self._runs(batch.tables_SB[:num_seqs, :num_blocks]),
            num_context=num_positions,
            mask=self._mask(is_visible_ST)[:, None, None],
        )

    def _chunk_group(self, batch: RaggedBatch, idx: int) -> _Group:
        first, last, past = batch.begins[idx], batch.begins[idx + 1], int(batch.past_S[idx])
        num_context = past + last - first
        num_blocks = -(-num_context // self._cache.block_tokens)
        mask = None
        if past:
            is_visible_NT = np.arange(num_context) <= np.arange(past, num_context)[:, None]
            mask = self._mask(is_visible_NT)
        return _Group(
            first=first,
            last=last,
            runs=self._runs(batch.tables_SB[idx : idx + 1, :num_blocks]),
            num_context=num_context,
            mask=mask,
            is_causal=not past,
        )

    def _write_rows(self, batch: RaggedBatch) -> tuple[Tensor, Tensor]:
        """Row of each new token's key and value in `KvCache.positions_QE`, per head."""
        num_tokens_S = np.diff(batch.begins)
        seq_of_N = np.repeat(np.arange(len(num_tokens_S)), num_tokens_S)
        block_idx_N, offset_N = np.divmod(batch.positions_N, self._cache.block_tokens)
        block_ids_N = batch.tables_SB[seq_of_N, block_idx_N]
        num_kv = self._cache.num_kv_heads
        runs_NK = block_ids_N[:, None] * (2 * num_kv) + np.arange(num_kv)
        key_rows_NK = runs_NK * self._cache.block_tokens + offset_N[:, None]
        return (
            self._to_device(key_rows_NK),
            self._to_device(key_rows_NK + num_kv * self._cache.block_tokens),
        )

    def _runs(self, tables_SB: Ints) -> Tensor:
        """Indices into `KvCache.runs_ME`, ordered keys | values, sequence, head, block."""
        num_kv = self._cache.num_kv_heads
        heads_2K = np.arange(2 * num_kv).reshape(2, 1, num_kv, 1)
        runs = tables_SB[None, :, None, :] * (2 * num_kv) + heads_2K
        return self._to_device(runs.reshape(-1))

    def _mask(self, is_visible: np.ndarray) -> Tensor:
        mask = np.where(is_visible, np.float32(0), np.float32("-inf"))
        return torch.from_numpy(mask).to(self._cache.device, self._cache.dtype)

    def _to_device(self, ints: Ints) -> Tensor:
        return torch.from_numpy(ints).to(self._cache.device)
