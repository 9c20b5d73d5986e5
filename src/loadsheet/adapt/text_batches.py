"""Batches of texts of like length: short texts are not padded to long ones.

Which texts a step sees is a pure function of (seed, step): each epoch is shuffled, cut into pools
of a few batches, sorted by length within a pool, and its batches are shuffled again.

Shapes: B texts, T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from loadsheet.errors import ConfigError

_POOL_BATCHES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatch:
    """`indices` say which texts these are."""

    ids_BT: Tensor
    mask_BT: Tensor
    indices: tuple[int, ...]


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int
) -> list[list[int]]:
    """Token ids of each text with its special tokens, cut at `max_tokens`."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=max_tokens).input_ids
    return ids


def pad(ids: Sequence[Sequence[int]], indices: Sequence[int], pad_id: int) -> TokenBatch:
    """The chosen rows, padded to the longest of them."""
    width = max(len(ids[idx]) for idx in indices)
    ids_BT = torch.full((len(indices), width), pad_id)
    mask_BT = torch.zeros(len(indices), width, dtype=torch.int64)
    for row, idx in enumerate(indices):
        length = len(ids[idx])
        ids_BT[row, :length] = torch.tensor(ids[idx])
        mask_BT[row, :length] = 1
    return TokenBatch(ids_BT=ids_BT, mask_BT=mask_BT, indices=tuple(indices))


def in_length_order(
    ids: Sequence[Sequence[int]], batch_size: int, pad_id: int
) -> Iterator[TokenBatch]:
    """Every row once, longest first: a batch that does not fit shows at once."""
    order = sorted(range(len(ids)), key=lambda idx: (-len(ids[idx]), idx))
    for start in range(0, len(order), batch_size):
        yield pad(ids, order[start : start + batch_size], pad_id)


class EpochBatches:
    """Shuffled training batches by step number."""

    def __init__(
        self, ids: Sequence[Sequence[int]], *, batch_size: int, pad_id: int, seed: int
    ) -> None:
        if not ids:
            raise ConfigError("there is no text to train on")
        self._ids = ids
        self._batch_size = batch_size
        self._pad_id = pad_id
        self._seed = seed
        self._epoch = -1
        self._plan: list[list[int]] = []

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self._ids) // self._batch_size)

    def batch(self, step: int) -> TokenBatch:
        epoch, within = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._plan_epoch(epoch)
        return pad(self._ids, self._plan[within], self._pad_id)

    def _plan_epoch(self, epoch: int) -> list[list[int]]:
        random = np.random.default_rng((self._seed, epoch))
        order = random.permutation(len(self._ids)).tolist()
        pool_size = _POOL_BATCHES * self._batch_size
        batches: list[list[int]] = []
        for start in range(0, len(order), pool_size):
            pool = sorted(order[start : start + pool_size], key=lambda idx: len(self._ids[idx]))
            batches += [
                pool[at : at + self._batch_size] for at in range(0, len(pool), self._batch_size)
            ]
        return [batches[idx] for idx in random.permutation(len(batches)).tolist()]
