"""A decoder's weights as its graph wants them: joined, in the dtype served, in one mapped file.

Made once from a Hugging Face folder and kept in the cache under the hash of the weights, the dtype
and the version of this format. int8 is symmetric per output row: w = q · scale, q in -127..127.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import DecoderWeights, Linear
from loadsheet.engine.text.weights import load_weights_of, read_json, weight_files
from loadsheet.engine.torch_device import Placement

FORMAT_VERSION = 1
_SCALE = ".scale"
_STORED_AS = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.bfloat16}

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """Mapped arrays by name; bf16 as uint16. `scales` has the rows' factors of int8 matrices."""

    config: DecoderConfig
    arrays: dict[str, Array]
    scales: dict[str, Array]
    num_bytes: int


def open_weights(folder: Path, dtype: str, cache_dir: Path) -> WeightFile:
    """From the cache, or converted and cached. `dtype`: fp32, bf16 or int8."""
    config = DecoderConfig.from_hf(read_json(folder / "config.json"))
    path = cache_dir / f"{_digest(folder)}-{dtype}-v{FORMAT_VERSION}.safetensors"
    if not path.exists():
        _convert(folder, config, dtype, path)
    arrays: dict[str, Array] = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118  (no mapping)
            arrays[name] = _as_array(file.get_tensor(name))
    names = [name for name in arrays if name.endswith(_SCALE)]
    scales = {name.removesuffix(_SCALE): arrays.pop(name) for name in names}
    num_bytes = sum(array.nbytes for array in (*arrays.values(), *scales.values()))
    return WeightFile(config=config, arrays=arrays, scales=scales, num_bytes=num_bytes)


def _convert(folder: Path, config: DecoderConfig, dtype: str, path: Path) -> None:
    placement = Placement(device=torch.device("cpu"), dtype=_STORED_AS[dtype])
    weights = load_weights_of(folder, placement, config, _Matrix)
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


@dataclass(frozen=True, slots=True)
class _Matrix:
    """Stands in for a product: keeps its weights for conversion."""

    weight_OI: Tensor
    bias_O: Tensor | None

    def __call__(self, x_NI: Tensor) -> Tensor:
        raise AssertionError(f"{type(x_NI)} for weights under conversion, which do not compute")


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
    assert isinstance(linear, _Matrix)
    yield name, linear.weight_OI.clone()  # a tied head is stored apart from the embedding
    if linear.bias_O is not None:
        yield f"{name}.bias", linear.bias_O


def _as_array(tensor: Tensor) -> Array:
    stored = tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor
    array: Array = stored.numpy()
    return array


def _digest(folder: Path) -> str:
    """Of the weights' bytes, so that another model in the same folder is another entry."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in weight_files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:24]
