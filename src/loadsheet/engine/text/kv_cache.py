"""Keys and values of all sequences of a model, in blocks that are allocated once.

A sequence owns the blocks of its table, in order; the scheduler decides which. One block holds, for
every layer, `block_tokens` positions of every key head and then of every value head:

    layer ─► block ─► keys | values ─► head ─► position ─► head_dim numbers

so a head's positions in a block are one run of memory, and gathering runs gives each head its
context in order.

Shape letters: L layers, K key/value heads, P positions in a block, E size of a head, N tokens, S
sequences, B blocks in a table; M = blocks × 2 × K runs, Q = M × P positions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.ragged import Ints


def kv_bytes_per_block(config: DecoderConfig, dtype: torch.dtype, block_tokens: int) -> int:
    """Bytes of one block over all layers; its share of a token is this / block_tokens."""
    numbers_per_token = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    return numbers_per_token * block_tokens * dtype.itemsize


class KvCache:
    def __init__(
        self,
        config: DecoderConfig,
        *,
        num_blocks: int,
        block_tokens: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.num_blocks = num_blocks
        self.block_tokens = block_tokens
        self.num_kv_heads = config.num_kv_heads
        self.device = device
        self.dtype = dtype
        size_E = config.head_dim
        # Zeros, not garbage: an unwritten position is masked, but 0 × NaN would still be NaN.
        self._blocks = torch.zeros(
            (config.num_layers, num_blocks, 2, config.num_kv_heads, block_tokens, size_E),
            device=device,
            dtype=dtype,
        )
        # Views of each layer, made once: a step would make the same ones layer by layer.
        self._runs_ME = [layer.view(-1, block_tokens * size_E) for layer in self._blocks]
        self._positions_QE = [layer.view(-1, size_E) for layer in self._blocks]
        self._scratch_ME = torch.empty((0, block_tokens * size_E), device=device, dtype=dtype)

    @property
    def num_bytes(self) -> int:
        return self._blocks.nbytes

    def position_rows(self, block_ids_N: Ints, offsets_N: Ints) -> tuple[Tensor, Tensor]:
        """Where the key heads and the value heads of each token belong, for `write`: [N, K]."""
        runs_NK = block_ids_N[:, None] * (2 * self.num_kv_heads) + np.arange(self.num_kv_heads)
        key_rows_NK = runs_NK * self.block_tokens + offsets_N[:, None]
        value_rows_NK = key_rows_NK + self.num_kv_heads * self.block_tokens
        return self._on_device(key_rows_NK), self._on_device(value_rows_NK)

    def write(self, layer_idx: int, rows_NK: Tensor, heads_NKE: Tensor) -> None:
        self._positions_QE[layer_idx][rows_NK] = heads_NKE

    def context_runs(self, tables_SB: Ints) -> Tensor:
        """Indices for `gather`, ordered keys | values, sequence, head, block."""
        heads_2K = np.arange(2 * self.num_kv_heads).reshape(2, 1, self.num_kv_heads, 1)
        runs = tables_SB[None, :, None, :] * (2 * self.num_kv_heads) + heads_2K
        return self._on_device(runs.reshape(-1))

    def gather(self, layer_idx: int, runs: Tensor, out_ME: Tensor) -> None:
        torch.index_select(self._runs_ME[layer_idx], 0, runs, out=out_ME)

    def scratch(self, num_runs: int) -> Tensor:
        """Space to gather into. One space for all: whoever gathers uses it up before the next."""
        if len(self._scratch_ME) < num_runs:
            self._scratch_ME = self._scratch_ME.new_empty((num_runs, self._scratch_ME.shape[1]))
        return self._scratch_ME[:num_runs]

    def clear(self, block_ids: Sequence[int]) -> None:
        """Forget what the blocks hold, so that a NaN cannot reach their next owner."""
        self._blocks[:, list(block_ids)] = 0

    def _on_device(self, ints: Ints) -> Tensor:
        return torch.from_numpy(ints).to(self.device)
