"""A network of torch as an OpenVINO graph: traced once, kept on disk, mapped at every start.

    folder/unet ─► open_graph ─► cache/<digest>-<dtype>-ov<version>/graph.{xml,bin} ─► Network

The digest is of the weights and their config, of the shapes that are fixed, and of this format.
"""

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from pathlib import Path

import openvino as ov
import torch
from torch import Tensor, nn

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.image.component import quiet_transformers
from loadsheet.engine.openvino.cpu import compile_on_cpu, core
from loadsheet.errors import AssetError

FORMAT_VERSION = 1
_GRAPH = "graph.xml"
_BYTES = {"fp32": 4, "bf16": 2}

Dims = tuple[int, ...]
"""-1 is a dimension that varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traceable:
    """`function` of the module's inputs by position, in the order of `examples`, to one tensor."""

    module: nn.Module
    function: Callable[..., Tensor]
    examples: Mapping[str, Tensor]
    dims: Mapping[str, Dims]


class Network:
    """Float32 answers in memory of their own; one call at a time."""

    def __init__(self, graph: ov.Model, precision: str, cpu: CpuShare) -> None:
        self._request = compile_on_cpu(graph, precision, cpu).create_infer_request()
        self.input_names = tuple(port.get_any_name() for port in graph.inputs)

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        for name, tensor in inputs.items():
            self._request.set_tensor(name, ov.Tensor(tensor.contiguous().numpy()))
        self._request.infer()
        return torch.from_numpy(self._request.get_output_tensor(0).data).clone()


def open_graph(folder: Path, precision: str, cache_dir: Path, source: Traceable) -> ov.Model:
    """From the cache, or traced and cached. `folder` has the weights that `source` was made of."""
    name = f"{_digest(folder, source.dims)}-{precision}-ov{ov.__version__.split('-')[0]}"
    path = cache_dir / name / _GRAPH
    if not path.exists():
        _write(traced(source), path)
    return core().read_model(path)


def traced(source: Traceable) -> ov.Model:
    """In float32 and with the weights as they are; the precision is chosen when it is compiled."""
    examples = tuple(_as_float32(tensor) for tensor in source.examples.values())
    with (
        warnings.catch_warnings(),
        quiet_transformers(),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        # sizes that networks check on the way, and old attributes that the tracer touches
        warnings.simplefilter("ignore")
        module = _Traced(deepcopy(source.module).float(), source.function).eval()
        graph = ov.convert_model(module, example_input=tuple(one.clone() for one in examples))
    for port, name in zip(graph.inputs, source.examples, strict=True):
        port.get_tensor().set_names({name})
    graph.reshape({name: ov.PartialShape(list(dims)) for name, dims in source.dims.items()})
    return graph


def num_packed_bytes(graph: ov.Model, precision: str) -> int:
    """Of the weights in one compiled model."""
    constants = (node for node in graph.get_ops() if node.get_type_name() == "Constant")
    num_values: int = sum(prod(node.output(0).get_shape()) for node in constants)
    return _BYTES[precision] * num_values


class _Traced(nn.Module):
    def __init__(self, module: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._module = module
        self._function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._function(self._module, *inputs)


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _write(graph: ov.Model, path: Path) -> None:
    """Whole or not at all, whoever else writes the same."""
    cache_dir = path.parent.parent
    cache_dir.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".graph-", dir=cache_dir))
    ov.save_model(graph, partial / _GRAPH, compress_to_fp16=False)
    try:
        partial.rename(path.parent)
    except OSError:  # a second process was first; its graph is the same
        shutil.rmtree(partial)
        if not path.exists():
            raise AssetError(f"{path.parent} is no graph; delete it and start again") from None


def _digest(folder: Path, dims: Mapping[str, Dims]) -> str:
    digest = hashlib.sha256(f"{FORMAT_VERSION} {sorted(dims.items())}".encode())
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:24]
