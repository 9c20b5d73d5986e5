"""A decoder compiled by OpenVINO, as a `TextModel`: one inference per ragged step."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import torch
from openvino import Type
from torch import Tensor

from loadsheet.engine.openvino.cpu import CpuShare, compile_on_cpu
from loadsheet.engine.openvino.decoder_graph import BLOCK_TOKENS, decoder_graph
from loadsheet.engine.openvino.weight_file import WeightFile, open_weights
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.ragged import RaggedBatch
from loadsheet.engine.text.text_model import blocks_within

_CACHE_TYPES = {"fp32": Type.f32, "bf16": Type.bf16, "int8": Type.bf16}
_CACHE_BYTES = {"fp32": 4, "bf16": 2, "int8": 2}


class OpenVinoTextModel:
    """`dtype`: fp32, bf16, or int8 (weights only; the rest computes in bf16)."""

    def __init__(
        self, weights: WeightFile, *, dtype: str, num_blocks: int, share: CpuShare
    ) -> None:
        self.config = weights.config
        self.num_blocks = num_blocks
        self.block_tokens = BLOCK_TOKENS
        self.weight_bytes = weights.num_bytes
        self.kv_bytes = num_blocks * bytes_per_block(weights.config, dtype)
        self._weights = weights  # the compiled model may read the mapped file
        graph = decoder_graph(weights, _CACHE_TYPES[dtype])
        compiled = compile_on_cpu(graph, "fp32" if dtype == "fp32" else "bf16", share)
        self._request = compiled.create_infer_request()
        self._caches = [self._allocate(port) for port in compiled.inputs if _is_cache(port)]

    @classmethod
    def from_folder(
        cls, folder: Path, *, dtype: str, kv_bytes: int, cache_dir: Path, share: CpuShare
    ) -> "OpenVinoTextModel":
        """A Hugging Face folder, with as many cache blocks as fit into `kv_bytes`."""
        weights = open_weights(folder, dtype, cache_dir)
        per_block = bytes_per_block(weights.config, dtype)
        num_blocks = blocks_within(kv_bytes, per_block, BLOCK_TOKENS)
        return cls(weights, dtype=dtype, num_blocks=num_blocks, share=share)

    def logits(self, batch: RaggedBatch) -> Tensor | None:
        """Logits in float32, in memory that the next call overwrites."""
        counts_S = np.diff(batch.begins)
        contexts_S = batch.past_S + counts_S
        blocks_S = -(-contexts_S // BLOCK_TOKENS)
        tables = [table[:count] for table, count in zip(batch.tables_SB, blocks_S, strict=True)]
        rows = batch.sampled_rows or (0,)  # a graph without an output row is none
        self._set("token_ids", batch.token_ids_N)
        self._set("positions", batch.positions_N)
        self._set("past_lens", batch.past_S)
        self._set("begins", batch.begins)
        self._set("blocks", np.concatenate(tables))
        self._set("block_begins", np.concatenate(([0], np.cumsum(blocks_S))))
        self._set("max_context", contexts_S.max())
        self._set("rows", rows)
        self._request.infer()
        if not batch.sampled_rows:
            return None
        return torch.from_numpy(self._request.get_output_tensor(0).data)

    def clear(self, block_ids: Sequence[int]) -> None:
        for cache in self._caches:
            cache[list(block_ids)] = 0

    def _set(self, name: str, values: npt.ArrayLike) -> None:
        self._request.set_tensor(name, ov.Tensor(np.array(values, dtype=np.int32)))

    def _allocate(self, port: ov.ConstOutput) -> npt.NDArray[np.generic]:
        """Zeroed cache blocks behind an input of the graph; all layers are filled alike."""
        shape = port.get_partial_shape()
        dims = [self.num_blocks, *(shape[axis].get_length() for axis in (1, 2, 3))]
        tensor = ov.Tensor(port.get_element_type(), ov.Shape(dims))
        blocks: npt.NDArray[np.generic] = tensor.data
        blocks[:] = 0
        self._request.set_tensor(port.get_any_name(), tensor)
        return blocks


def bytes_per_block(config: DecoderConfig, dtype: str) -> int:
    """Keys and values of one block over all layers."""
    numbers = 2 * config.num_layers * config.num_kv_heads * config.head_dim * BLOCK_TOKENS
    return numbers * _CACHE_BYTES[dtype]


def _is_cache(port: ov.ConstOutput) -> bool:
    return "_cache." in port.get_any_name()
