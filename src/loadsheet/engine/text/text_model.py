"""The seam between serving text and computing it: ragged steps over a cache of blocks.

`TorchTextModel` computes with our decoder on any torch device; `engine.openvino` has one for CPUs,
compiled for the whole device and for a half of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decode_attention import score_dtype
from loadsheet.engine.text.decoder import Decoder
from loadsheet.engine.text.kv_cache import KvCache, kv_bytes_per_block
from loadsheet.engine.text.paged_attention import PagedAttention
from loadsheet.engine.text.ragged import RaggedBatch
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import CapacityError


class TextModel(Protocol):
    """Weights and a cache of `num_blocks` blocks of `block_tokens` positions. Not thread-safe."""

    config: DecoderConfig
    num_blocks: int
    block_tokens: int
    weight_bytes: int
    kv_bytes: int

    def logits(self, batch: RaggedBatch, share: float = 1.0) -> Tensor | None:
        """One forward pass on this share of the device; logits [R, V] of `batch.sampled_rows`,
        None where there are none."""
        ...

    def clear(self, block_ids: Sequence[int]) -> None:
        """Forget what the blocks hold, so that a NaN cannot reach their next owner."""
        ...


class TorchTextModel:
    def __init__(self, decoder: Decoder, *, num_blocks: int, block_tokens: int = 16) -> None:
        self.config = decoder.config
        self.num_blocks = num_blocks
        self.block_tokens = block_tokens
        self.weight_bytes = decoder.weight_bytes
        self._decoder = decoder
        self._cache = KvCache(
            decoder.config,
            num_blocks=num_blocks,
            block_tokens=block_tokens,
            device=decoder.device,
            dtype=decoder.dtype,
        )
        self.kv_bytes = self._cache.num_bytes
        self._scores = score_dtype(decoder.config, decoder.dtype)

    @classmethod
    def from_folder(
        cls, folder: Path, placement: Placement, *, kv_bytes: int, block_tokens: int = 16
    ) -> "TorchTextModel":
        """A Hugging Face folder, with as many cache blocks as fit into `kv_bytes`."""
        decoder = load_decoder(folder, placement)
        per_block = kv_bytes_per_block(decoder.config, decoder.dtype, block_tokens)
        num_blocks = blocks_within(kv_bytes, per_block, block_tokens)
        return cls(decoder, num_blocks=num_blocks, block_tokens=block_tokens)

    def logits(self, batch: RaggedBatch, share: float = 1.0) -> Tensor | None:
        assert share == 1.0, "torch computes on the whole device"
        device = self._decoder.device
        with torch.inference_mode():
            hidden_ND = self._decoder.hidden(
                torch.from_numpy(batch.token_ids_N).to(device),
                torch.from_numpy(batch.positions_N).to(device),
                PagedAttention(self._cache, batch, self._scores),
            )
            if not batch.sampled_rows:
                return None
            if len(batch.sampled_rows) < len(hidden_ND):
                hidden_ND = hidden_ND[list(batch.sampled_rows)]
            return self._decoder.logits(hidden_ND)

    def clear(self, block_ids: Sequence[int]) -> None:
        self._cache.clear(block_ids)


def blocks_within(kv_bytes: int, bytes_per_block: int, block_tokens: int) -> int:
    """How many cache blocks a budget holds; CapacityError where it holds none."""
    if kv_bytes < bytes_per_block:
        raise CapacityError(
            f"the KV cache may take {kv_bytes} bytes, but one block of {block_tokens} tokens "
            f"takes {bytes_per_block}; give at least that"
        )
    return kv_bytes // bytes_per_block
