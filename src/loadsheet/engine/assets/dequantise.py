"""Packed GGUF blocks → float32 → bfloat16, in numpy.

Q4_1: 32 numbers in 20 bytes: scale d and minimum m as fp16, then 16 bytes whose low nibbles are the
numbers 0..15 and high nibbles 16..31; x = d·q + m. Q8_0: 32 numbers in 34 bytes: d, then int8 q;
x = d·q. [ggml block formats]
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from loadsheet.engine.assets.gguf_file import BLOCKS, TensorKind

Packed = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


def dequantise(packed: Packed, kind: TensorKind) -> Float32:
    """uint8 [rows, row_bytes] → float32 [rows, columns]."""
    rows = packed.shape[0]
    blocks = np.ascontiguousarray(packed).reshape(-1, BLOCKS[kind][1])
    return _UNPACK[kind](blocks).reshape(rows, -1)


def to_bfloat16(values: Float32) -> npt.NDArray[np.uint16]:
    """The bits of bfloat16, rounded to nearest even like torch; finite values only.

    bfloat16 is the upper half of float32, so rounding is an integer addition on the bits.
    """
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    tie_to_even = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + tie_to_even) >> np.uint32(16)
    return rounded.astype(np.uint16)


def _unpack_q4_1(blocks: Packed) -> Float32:
    scale = blocks[:, 0:2].view(np.float16).astype(np.float32)
    minimum = blocks[:, 2:4].view(np.float16).astype(np.float32)
    nibbles = blocks[:, 4:]
    q = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=1).astype(np.float32)
    return q * scale + minimum


def _unpack_q8_0(blocks: Packed) -> Float32:
    scale = blocks[:, 0:2].view(np.float16).astype(np.float32)
    return blocks[:, 2:].view(np.int8).astype(np.float32) * scale


def _unpack_f16(blocks: Packed) -> Float32:
    return blocks.view(np.float16).astype(np.float32)


def _unpack_f32(blocks: Packed) -> Float32:
    return blocks.view(np.float32)


_UNPACK: dict[TensorKind, Callable[[Packed], Float32]] = {
    TensorKind.F32: _unpack_f32,
    TensorKind.F16: _unpack_f16,
    TensorKind.Q4_1: _unpack_q4_1,
    TensorKind.Q8_0: _unpack_q8_0,
}
