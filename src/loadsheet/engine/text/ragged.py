"""From a text step's plan to the arrays of one forward pass: the tokens of all its sequences.

    sequence    │ a (decode) │ b (decode) │ c (chunk of 3, not its last) │ d (chunk of 2, last) │
    tokens    N │     7      │     3      │     5        1        8      │     2        4       │
    positions N │    41      │    12      │     0        1        2      │    16       17       │
    begins  S+1   0            1            2                              5                      7
    past      S │    41      │    12      │     0                        │    16                │
    sampled rows      0            1                                                  6

numpy, not torch: any engine that runs plans can start from these arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadsheet.engine.text.sequence import Sequence
from loadsheet.errors import ExecutorError
from loadsheet.sched.plan import BlockGrant, PrefillChunk, TextBatch

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaggedBatch:
    """Decodes come first, shortest context first, then chunks in the plan's order.

    `tables_SB` is padded with each sequence's own first block; `sampled` belongs to `sampled_rows`.
    """

    token_ids_N: Ints
    positions_N: Ints
    begins: tuple[int, ...]
    past_S: Ints
    tables_SB: Ints
    num_decodes: int
    sampled: tuple[Sequence, ...]
    sampled_rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """The next `num_tokens` of one sequence."""

    sequence: Sequence
    num_tokens: int
    is_sampled: bool


def grant_blocks(
    grants: tuple[BlockGrant, ...], sequences: Mapping[str, Sequence], num_blocks: int
) -> None:
    """Append granted blocks to their sequences' tables."""
    for grant in grants:
        sequence = _find(sequences, grant.request_id)
        wrong = [block_id for block_id in grant.block_ids if not 0 <= block_id < num_blocks]
        if wrong:
            raise ExecutorError(f"block {wrong[0]} granted, but the cache has {num_blocks} blocks")
        sequence.block_ids.extend(grant.block_ids)


def lower(batch: TextBatch, sequences: Mapping[str, Sequence], block_tokens: int) -> RaggedBatch:
    """The arrays of one step. A plan that does not fit the sequences is an ExecutorError."""
    parts = [_decode_part(_find(sequences, request_id)) for request_id in batch.decodes]
    parts.sort(key=lambda part: part.sequence.num_cached)
    parts += [_chunk_part(_find(sequences, chunk.request_id), chunk) for chunk in batch.chunks]
    if not parts:
        raise ExecutorError("a text step without decodes and chunks")
    if len({part.sequence.request_id for part in parts}) < len(parts):
        raise ExecutorError("a text step names a request twice")
    for part in parts:
        _check_blocks(part, block_tokens)

    counts = [part.num_tokens for part in parts]
    begins = (0, *np.cumsum(counts).tolist())
    past = [part.sequence.num_cached for part in parts]
    token_ids: list[int] = []
    positions: list[int] = []
    for part, start in zip(parts, past, strict=True):
        end = start + part.num_tokens
        token_ids += part.sequence.token_ids[start:end]
        positions += range(start, end)
    sampled = [idx for idx, part in enumerate(parts) if part.is_sampled]
    return RaggedBatch(
        token_ids_N=np.array(token_ids, dtype=np.int64),
        positions_N=np.array(positions, dtype=np.int64),
        begins=begins,
        past_S=np.array(past, dtype=np.int64),
        tables_SB=_tables([part.sequence.block_ids for part in parts]),
        num_decodes=len(batch.decodes),
        sampled=tuple(parts[idx].sequence for idx in sampled),
        sampled_rows=tuple(begins[idx + 1] - 1 for idx in sampled),
    )


def _find(sequences: Mapping[str, Sequence], request_id: str) -> Sequence:
    sequence = sequences.get(request_id)
    if sequence is None:
        raise ExecutorError(f"request {request_id!r} is not admitted or already released")
    if sequence.is_ended:
        raise ExecutorError(f"request {request_id!r} has ended; no step may work for it")
    return sequence


def _decode_part(sequence: Sequence) -> _Part:
    num_waiting = len(sequence.token_ids) - sequence.num_cached
    if num_waiting != 1 or len(sequence.token_ids) == sequence.num_prompt:
        raise ExecutorError(
            f"request {sequence.request_id!r} cannot decode: {sequence.num_cached} of its "
            f"{sequence.num_prompt} prompt tokens are computed"
        )
    return _Part(sequence, 1, True)


def _chunk_part(sequence: Sequence, chunk: PrefillChunk) -> _Part:
    end = chunk.past_tokens + chunk.num_tokens
    is_last = end == sequence.num_prompt
    if (
        chunk.past_tokens != sequence.num_cached
        or not chunk.past_tokens < end <= sequence.num_prompt
        or chunk.is_last != is_last
    ):
        raise ExecutorError(
            f"chunk of tokens {chunk.past_tokens}..{end} (is_last={chunk.is_last}) does not follow "
            f"the {sequence.num_cached} of {sequence.num_prompt} prompt tokens computed for "
            f"{sequence.request_id!r}"
        )
    return _Part(sequence, chunk.num_tokens, is_last)


def _check_blocks(part: _Part, block_tokens: int) -> None:
    sequence = part.sequence
    num_positions = len(sequence.block_ids) * block_tokens
    if sequence.num_cached + part.num_tokens > num_positions:
        raise ExecutorError(
            f"request {sequence.request_id!r} needs {sequence.num_cached + part.num_tokens} cache "
            f"positions, but its {len(sequence.block_ids)} blocks hold {num_positions}"
        )


def _tables(block_ids: list[list[int]]) -> Ints:
    width = max(len(ids) for ids in block_ids)
    tables_SB = np.empty((len(block_ids), width), dtype=np.int64)
    for row, ids in enumerate(block_ids):
        tables_SB[row, : len(ids)] = ids
        tables_SB[row, len(ids) :] = ids[0]
    return tables_SB
