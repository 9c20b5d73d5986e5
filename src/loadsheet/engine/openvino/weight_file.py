"""A decoder's weights as its graph wants them: joined, in the dtype served, in one mapped file.

Made once from a Hugging Face folder and kept in the cache under the hash of the weights, the dtype
and the version of this format. int8 is symmetric per output row: w = q · scale, q in -127..127.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import DecoderWeights, Linear
from loadsheet.engine.text.linear import PlainLinear
from loadsheet.engine.text.weights import load_weights_of, read_json, weight_files
from loadsheet.engine.torch_device import Placement

FORMAT_VERSION = 1
_SCALE = ".scale"
_STORED_AS = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.bfloat16}

_NUMPY_OF = {"F32": np.float32, "BF16": np.uint16, "I8": np.int8}

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """Mapped arrays by name; bf16 as uint16. `scales` has the rows' factors of int8 matrices."""

    config: DecoderConfig
    arrays: dict[str, Array]
    scales: dict[str, Array]
    mapping: mmap.mmap

    @property
    def packed_bytes(self) -> int:
        """Of what a compiled model keeps a copy of its own of: the matrices of its products."""
        names = [name for name, array in self.arrays.items() if array.ndim == 2]
        matrices = sum(self.arrays[name].nbytes for name in names if name != "embedding")
        return matrices + sum(array.nbytes for array in self.scales.values())

    @property
    def shared_bytes(self) -> int:
        """Of what stays in the mapped file and is read from there: the embedding, vectors."""
        return sum(array.nbytes for array in self.arrays.values() if array.ndim == 1) + (
            self.arrays["embedding"].nbytes
        )

    def forget_pages(self) -> None:
        """Give mapped pages back; what is read again comes from the file again."""
        self.mapping.madvise(mmap.MADV_DONTNEED)


def open_weights(folder: Path, dtype: str, cache_dir: Path) -> WeightFile:
    """From the cache, or converted and cached. `dtype`: fp32, bf16 or int8."""
    config = DecoderConfig.from_hf(read_json(folder / "config.json"))
    path = cache_dir / f"{_digest(folder)}-{dtype}-v{FORMAT_VERSION}.safetensors"
    if not path.exists():
        placement = Placement(device=torch.device("cpu"), dtype=_STORED_AS[dtype])
        write_weights(load_weights_of(folder, placement, config, PlainLinear), dtype, path)
    return read_weights(path, config)


def read_weights(path: Path, config: DecoderConfig) -> WeightFile:
    """Maps a file that `write_weights` wrote."""
    arrays, mapping = _map(path)
    names = [name for name in arrays if name.endswith(_SCALE)]
    scales = {name.removesuffix(_SCALE): arrays.pop(name) for name in names}
    return WeightFile(config=config, arrays=arrays, scales=scales, mapping=mapping)


def _map(path: Path) -> tuple[dict[str, Array], mmap.mmap]:
    """The tensors of a safetensors file, in place. Copy on write, since tensors of the runtime
    share only memory that could be written."""
    with path.open("rb") as file:
        head_bytes = int.from_bytes(file.read(8), "little")
        table = json.loads(file.read(head_bytes))
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    table.pop("__metadata__", None)
    arrays: dict[str, Array] = {}
    for name, entry in table.items():
        start = 8 + head_bytes + entry["data_offsets"][0]
        shape, kind = entry["shape"], _NUMPY_OF[entry["dtype"]]
        flat = np.frombuffer(mapping, dtype=kind, count=prod(shape), offset=start)
        arrays[name] = flat.reshape(shape)
    return arrays, mapping


def write_weights(weights: DecoderWeights, dtype: str, path: Path) -> None:
    """`weights` with plain products, in the dtype that `dtype` is stored as, or made from."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in _named(weights):
        if dtype == "int8" and tensor.dim() == 2 and name != "embedding":
            tensors[name], tensors[name + _SCALE] = quantized(tensor)
        else:
            tensors[name] = tensor.contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    save_file(tensors, partial)
    partial.replace(path)  # a second process may have done the same; either file is whole


def quantized(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [O, I] and its factors [O, 1] in float32; a row of zeros keeps a factor of one."""
    weight_OI = weight_OI.float()
    scale_O1 = weight_OI.abs().amax(dim=1, keepdim=True) / 127
    scale_O1[scale_O1 == 0] = 1
    return (weight_OI / scale_O1).round().to(torch.int8), scale_O1


def _named(weights: DecoderWeights) -> Iterator[tuple[str, Tensor]]:
    yield "embedding", weights.embedding_VD
    yield "final_norm", weights.final_norm_D
    yield from _matrix("head", weights.head)
    for idx, layer in enumerate(weights.layers):
        yield f"{idx}.attention_norm", layer.attention_norm_D
        yield f"{idx}.ffn_norm", layer.ffn_norm_D
        yield from _matrix(f"{idx}.qkv", layer.qkv)
        yield from _matrix(f"{idx}.out", layer.out)
        yield from _matrix(f"{idx}.gate_up", layer.gate_up)
        yield from _matrix(f"{idx}.down", layer.down)


def _matrix(name: str, linear: Linear) -> Iterator[tuple[str, Tensor]]:
    assert isinstance(linear, PlainLinear)
    yield name, linear.weight_OI.clone()  # a tied head is stored apart from the embedding
    if linear.bias_O is not None:
        yield f"{name}.bias", linear.bias_O


def _digest(folder: Path) -> str:
    """Of the weights' bytes, so that another model in the same folder is another entry."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in weight_files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:24]
