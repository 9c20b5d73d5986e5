"""Small pieces of OpenVINO graphs, written as the mathematics reads.

Everything is built from opset operators over constants that share memory with mapped files: no
exporter, no tracing, and nothing is copied before the plugin packs the weights for its kernels.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import Node, Output, Type
from openvino import opset13 as ops
from openvino.op import Constant

Value: TypeAlias = "Node | Output"

_NUMPY_OF = {Type.i32: np.int32, Type.i64: np.int64, Type.f32: np.float32, Type.u8: np.uint8}


def parameter(name: str, element: Type, shape: Sequence[int]) -> Node:
    """An input; -1 is a dimension that varies."""
    node = ops.parameter(list(shape), element)
    node.set_friendly_name(name)
    node.output(0).get_tensor().set_names({name})
    return node


def number(value: float) -> Node:
    return Constant(np.array(value, dtype=np.float32))


def integers(values: int | Sequence[int]) -> Node:
    return Constant(np.array(values, dtype=np.int64))


def scalar(value: int) -> Node:
    return Constant(np.array(value, dtype=np.int32))


def empty(element: Type) -> Node:
    """A vector of nothing: an optional input that is not used."""
    return Constant(np.zeros(0, dtype=_NUMPY_OF[element]))


def constant(values: npt.NDArray[np.generic], element: Type | None = None) -> Node:
    """Over the array's own memory, which has to live as long as the model. bf16 comes as uint16."""
    tensor = ov.Tensor(values, shared_memory=True)
    if element is not None:
        tensor = ov.Tensor(values, ov.Shape(list(values.shape)), element)
    return Constant(tensor)


def as_f32(value: Value) -> Node:
    return ops.convert(value, "f32")


def widened(stored: Node) -> Node:
    """A stored constant in float32, without making it one: the mark keeps the plugin from folding
    the conversion, which would hold the weights in float32 beside the packed ones."""
    node = as_f32(stored)
    node.get_rt_info()["decompression_0"] = ""
    return node


def split_last(x: Value, sizes: Sequence[int]) -> list[Output]:
    return list(ops.variadic_split(x, integers(-1), integers(sizes)).outputs())
