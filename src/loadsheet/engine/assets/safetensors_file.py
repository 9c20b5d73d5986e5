"""Write a safetensors file tensor by tensor, so that one tensor at a time is in memory.

    8 bytes: length of the head │ head: JSON {name: {dtype, shape, data_offsets}} │ data …

[safetensors format by Hugging Face]
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

_ALIGNMENT_BYTES = 8
_BFLOAT16_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bfloat16Tensor:
    """A tensor and its rows, made on demand as bfloat16 bits in any number of parts."""

    name: str
    shape: tuple[int, ...]
    parts: Iterable[npt.NDArray[np.uint16]]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * _BFLOAT16_BYTES


def write_safetensors(path: Path, tensors: Sequence[Bfloat16Tensor]) -> None:
    head = _head(tensors)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little"))
        file.write(head)
        for tensor in tensors:
            written = sum(file.write(part.tobytes()) for part in tensor.parts)
            assert written == tensor.num_bytes, f"{tensor.name}: {written} bytes"


def _head(tensors: Sequence[Bfloat16Tensor]) -> bytes:
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.num_bytes
        table[tensor.name] = {
            "dtype": "BF16",
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    head = json.dumps(table, separators=(",", ":")).encode()
    return head + b" " * (-len(head) % _ALIGNMENT_BYTES)
