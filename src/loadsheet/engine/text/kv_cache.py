"""Keys and values of all sequences of a model, in blocks that are allocated once.

A sequence owns the blocks of its table, in order; the scheduler decides which. One block holds, for
every layer, `block_tokens` positions of every key head and then of every value head:

    layer ─► block ─► keys | values ─► head ─► position ─► head_dim numbers

so a head's positions in a block are one run of memory, and gathering blocks gives each head its
context in order.

Shape letters: L layers, K key/value heads, P positions in a block, E size of a head; M = blocks ×
2 × K runs, Q = M × P positions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig


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
        self.runs_ME = [layer.view(-1, block_tokens * size_E) for layer in self._blocks]
        self.positions_QE = [layer.view(-1, size_E) for layer in self._blocks]
        self._scratch = torch.empty(0, device=device, dtype=dtype)

    @property
    def num_bytes(self) -> int:
        return self._blocks.nbytes

    def gather(self, layer_idx: int, runs: Tensor) -> Tensor:
        """Copies of the chosen runs in a scratch space that the next call overwrites."""
        source = self.runs_ME[layer_idx]
        num_needed = len(runs) * source.shape[1]
        if len(self._scratch) < num_needed:
            self._scratch = torch.empty(num_needed, device=self.device, dtype=self.dtype)
        out = self._scratch[:num_needed].view(len(runs), source.shape[1])
        return torch.index_select(source, 0, runs, out=out)

    def clear(self, block_ids: Sequence[int]) -> None:
        """Forget what the blocks hold, so that a NaN cannot reach their next owner."""
        self._blocks[:, list(block_ids)] = 0
