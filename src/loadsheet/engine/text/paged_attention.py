"""Attention of a ragged batch over the block cache: the engine's side of the decoder's seam.

New keys and values are written to their blocks. Then each group of sequences gathers its blocks
into context order and attends to them:

    decodes   one query token each: one call for those of like context, padded to the longest
    a chunk   many query tokens of one sequence: one call, causal

The G query heads that share a key/value head are treated as G queries of one head, so keys and
values are never repeated.

Shape letters beside the decoder's: S sequences, B blocks in a table, T tokens in context.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from loadsheet.engine.text.chunk_attention import choose_chunk_attention
from loadsheet.engine.text.decode_attention import choose_decode_attention
from loadsheet.engine.text.kv_cache import KvCache
from loadsheet.engine.text.ragged import Ints, RaggedBatch

# Gathering and attending to one more group costs as much as this many more tokens of padding.
_CALL_TOKENS = 512


class _Group(Protocol):
    """Sequences that attend together. What is the same in every layer is made once per step."""

    def attend(self, layer_idx: int, q_NHE: Tensor) -> Tensor: ...


class PagedAttention:
    """Made for one step. `scores` is the precision of attention scores."""

    def __init__(self, cache: KvCache, batch: RaggedBatch, scores: torch.dtype) -> None:
        self._cache = cache
        self._key_rows_NK, self._value_rows_NK = _write_rows(cache, batch)
        self._groups: list[tuple[slice, _Group]] = []
        contexts_S = batch.past_S[: batch.num_decodes] + 1
        for seqs in even_groups(contexts_S):
            decodes = _Decodes(cache, batch.tables_SB[seqs], contexts_S[seqs], scores)
            self._groups.append((seqs, decodes))
        for idx in range(batch.num_decodes, len(batch.past_S)):
            first, last, past = batch.begins[idx], batch.begins[idx + 1], int(batch.past_S[idx])
            chunk = _Chunk(cache, batch.tables_SB[idx], past, last - first, scores)
            self._groups.append((slice(first, last), chunk))

    def attend(self, layer_idx: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor) -> Tensor:
        self._cache.write(layer_idx, self._key_rows_NK, k_NKE)
        self._cache.write(layer_idx, self._value_rows_NK, v_NKE)
        if len(self._groups) == 1:
            return self._groups[0][1].attend(layer_idx, q_NHE)
        return torch.cat([group.attend(layer_idx, q_NHE[tokens]) for tokens, group in self._groups])


def even_groups(contexts_S: Ints) -> list[slice]:
    """Cut ascending contexts wherever padding the shorter to the longest costs more than a call."""
    groups: list[slice] = []
    end = len(contexts_S)
    while end:
        # Tokens of padding saved by a cut before each sequence.
        saved = np.arange(end) * (contexts_S[end - 1] - np.roll(contexts_S[:end], 1))
        start = int(saved.argmax()) if saved.max() > _CALL_TOKENS else 0
        groups.insert(0, slice(start, end))
        end = start
    return groups


class _Decodes:
    def __init__(
        self, cache: KvCache, tables_SB: Ints, contexts_S: Ints, scores: torch.dtype
    ) -> None:
        num_seqs, num_kv = len(tables_SB), cache.num_kv_heads
        num_blocks = -(-int(contexts_S.max()) // cache.block_tokens)
        num_positions = num_blocks * cache.block_tokens
        self._cache = cache
        self._runs = cache.context_runs(tables_SB[:, :num_blocks])
        self._scratch = cache.scratch(len(self._runs))
        context = self._scratch.view(2, num_seqs, num_kv, num_positions, -1)
        self._keys_SKTE, self._values_SKTE = context.unbind()
        is_visible_ST = torch.from_numpy(np.arange(num_positions) < contexts_S[:, None])
        self._attention = choose_decode_attention(is_visible_ST.to(cache.device), cache, scores)

    def attend(self, layer_idx: int, q_NHE: Tensor) -> Tensor:
        self._cache.gather(layer_idx, self._runs, self._scratch)
        num_seqs, num_kv, _, size_E = self._keys_SKTE.shape
        q_SKGE = q_NHE.view(num_seqs, num_kv, -1, size_E)
        out_SKGE = self._attention(q_SKGE, self._keys_SKTE, self._values_SKTE)
        return out_SKGE.reshape(num_seqs, -1)


class _Chunk:
    def __init__(
        self, cache: KvCache, table_B: Ints, past: int, num_tokens: int, scores: torch.dtype
    ) -> None:
        num_context = past + num_tokens
        num_blocks = -(-num_context // cache.block_tokens)
        self._cache = cache
        self._runs = cache.context_runs(table_B[None, :num_blocks])
        self._scratch = cache.scratch(len(self._runs))
        context = self._scratch.view(2, cache.num_kv_heads, num_blocks * cache.block_tokens, -1)
        self._keys_KTE, self._values_KTE = context[:, :, :num_context].unbind()
        self._attention = choose_chunk_attention(num_tokens, past, cache.device, scores)

    def attend(self, layer_idx: int, q_NHE: Tensor) -> Tensor:
        self._cache.gather(layer_idx, self._runs, self._scratch)
        num_kv, _, size_E = self._keys_KTE.shape
        q_NKGE = q_NHE.view(q_NHE.shape[0], num_kv, -1, size_E)
        out_NKGE = self._attention(q_NKGE, self._keys_KTE, self._values_KTE)
        return out_NKGE.reshape(q_NHE.shape[0], -1)


def _write_rows(cache: KvCache, batch: RaggedBatch) -> tuple[Tensor, Tensor]:
    num_tokens_S = np.diff(batch.begins)
    seq_idx_N = np.repeat(np.arange(len(num_tokens_S)), num_tokens_S)
    block_idx_N, offsets_N = np.divmod(batch.positions_N, cache.block_tokens)
    return cache.position_rows(batch.tables_SB[seq_idx_N, block_idx_N], offsets_N)
