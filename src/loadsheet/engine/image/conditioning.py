"""What a text encoder hands to the denoiser: named tensors, one row per prompt.

The names are the denoiser's own keyword arguments (`encoder_hidden_states`, `class_labels`, …), so
a new pipeline layout adds names, not code. Every layout pads to a fixed length, which is why rows
of different requests join by plain concatenation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Texts to encode together. The size is there for encoders that are told it (SDXL is)."""

    texts: tuple[str, ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """Denoiser arguments by name; the first dimension of each tensor counts prompts."""

    tensors: Mapping[str, Tensor]

    @property
    def num_bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def rows(self) -> list["Conditioning"]:
        """One conditioning per prompt. Copies, so that a row never keeps its batch in memory."""
        count = len(next(iter(self.tensors.values())))
        return [
            Conditioning(tensors={name: t[i : i + 1].clone() for name, t in self.tensors.items()})
            for i in range(count)
        ]


def concatenate(parts: Sequence[Conditioning]) -> Conditioning:
    """Rows of all parts in order; every part has the same names and row shapes."""
    names = parts[0].tensors.keys()
    return Conditioning(
        tensors={name: torch.cat([part.tensors[name] for part in parts]) for name in names}
    )
