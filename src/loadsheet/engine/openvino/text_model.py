"""A decoder compiled by OpenVINO, as a `TextModel`: one inference per ragged step.

It is compiled once per share of the device. The variants read and write the same cache blocks and
take turns, so any step can run on any of them; only the packed weights exist once for each.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import torch
from openvino import Type
from torch import Tensor

from loadsheet.engine.cpu_cores import WHOLE, CpuShare
from loadsheet.engine.openvino.cpu import compile_on_cpu
from loadsheet.engine.openvino.decoder_graph import BLOCK_TOKENS, decoder_graph
from loadsheet.engine.openvino.weight_file import WeightFile, open_weights
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import rope_inv_freq
from loadsheet.engine.text.ragged import RaggedBatch
from loadsheet.engine.text.text_model import blocks_within

_CACHE_TYPES = {"fp32": Type.f32, "bf16": Type.bf16}
_CACHE_BYTES = {"fp32": 4, "bf16": 2}

Ints = npt.NDArray[np.int32]


class OpenVinoTextModel:
    """`precision`, fp32 or bf16, is that of products and of the cache, whatever the weights'."""

    def __init__(
        self,
        weights: WeightFile,
        *,
        precision: str,
        num_blocks: int,
        shares: Mapping[float, CpuShare],
    ) -> None:
        self.config = weights.config
        self.num_blocks = num_blocks
        self.block_tokens = BLOCK_TOKENS
        self.weight_bytes = weights.packed_bytes * len(shares) + weights.shared_bytes
        self.kv_bytes = num_blocks * bytes_per_block(weights.config, precision)
        self._weights = weights  # the compiled models read the mapped file
        graph = decoder_graph(weights, _CACHE_TYPES[precision])
        self._requests = {
            share: compile_on_cpu(graph, precision, cpu).create_infer_request()
            for share, cpu in shares.items()
        }
        self._inv_freq_E = rope_inv_freq(weights.config).repeat(2).numpy()
        self._caches = self._allocate()
        self._pack()

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        dtype: str,
        precision: str,
        kv_bytes: int,
        cache_dir: Path,
        shares: Mapping[float, CpuShare],
    ) -> "OpenVinoTextModel":
        """A Hugging Face folder, with as many cache blocks as fit into `kv_bytes`.

        `dtype` is the weights': fp32, bf16 or int8. Converted once and kept in `cache_dir`.
        """
        weights = open_weights(folder, dtype, cache_dir)
        per_block = bytes_per_block(weights.config, precision)
        num_blocks = blocks_within(kv_bytes, per_block, BLOCK_TOKENS)
        return cls(weights, precision=precision, num_blocks=num_blocks, shares=shares)

    def logits(self, batch: RaggedBatch, share: float = WHOLE) -> Tensor | None:
        """Logits in float32, in memory that the next call overwrites."""
        request = self._requests[share]
        for name, ints in _inputs(batch).items():
            request.set_tensor(name, ov.Tensor(ints))
        # not in the graph: there, bf16 would round positions above 256
        positions_N111 = batch.positions_N.astype(np.float32)[:, None, None, None]
        angles_N11E = positions_N111 * self._inv_freq_E
        request.set_tensor("cos", ov.Tensor(np.cos(angles_N11E)))
        request.set_tensor("sin", ov.Tensor(np.sin(angles_N11E)))
        request.infer()
        if not batch.sampled_rows:
            return None
        return torch.from_numpy(request.get_output_tensor(0).data)

    def clear(self, block_ids: Sequence[int]) -> None:
        for cache in self._caches:
            cache[list(block_ids)] = 0

    def _allocate(self) -> list[npt.NDArray[np.generic]]:
        """Zeroed cache blocks behind the inputs of all variants."""
        caches = []
        [*requests] = self._requests.values()
        for port in requests[0].model_inputs:
            name = port.get_any_name()
            if "_cache." not in name:
                continue
            tensor = _blocks(port, self.num_blocks)
            _zero(tensor)
            caches.append(tensor.data)
            for request in requests:
                request.set_tensor(name, tensor)
        return caches

    def _pack(self) -> None:
        """The first inference packs the weights; then the file's pages are no longer needed."""
        zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
        batch = RaggedBatch(
            token_ids_N=zero,
            positions_N=zero,
            begins=(0, 1),
            past_S=zero,
            tables_SB=zero[None],
            num_decodes=len(one),
            sampled=(),
            sampled_rows=(0,),
        )
        for share in self._requests:
            self.logits(batch, share)
        self.clear([0])
        self._weights.forget_pages()


def bytes_per_block(config: DecoderConfig, precision: str) -> int:
    """Keys and values of one block over all layers."""
    numbers = 2 * config.num_layers * config.num_kv_heads * config.head_dim * BLOCK_TOKENS
    return numbers * _CACHE_BYTES[precision]


def _inputs(batch: RaggedBatch) -> dict[str, Ints]:
    contexts_S = batch.past_S + np.diff(batch.begins)
    blocks_S = -(-contexts_S // BLOCK_TOKENS)
    is_used_SB = np.arange(batch.tables_SB.shape[1]) < blocks_S[:, None]
    inputs: dict[str, npt.ArrayLike] = {
        "token_ids": batch.token_ids_N,
        "past_lens": batch.past_S,
        "begins": batch.begins,
        "blocks": batch.tables_SB[is_used_SB],
        "block_begins": np.concatenate(([0], blocks_S.cumsum())),
        "max_context": contexts_S.max(),
        "rows": batch.sampled_rows,  # none: the head multiplies nothing
    }
    return {name: np.array(values, dtype=np.int32) for name, values in inputs.items()}


def _blocks(port: ov.ConstOutput, num_blocks: int) -> ov.Tensor:
    shape = port.get_partial_shape()
    dims = [num_blocks, *(shape[axis].get_length() for axis in (1, 2, 3))]
    return ov.Tensor(port.get_element_type(), ov.Shape(dims))


def _zero(tensor: ov.Tensor) -> None:
    blocks: npt.NDArray[np.generic] = tensor.data
    blocks[:] = 0
