"""What a text encoder hands to the denoiser: named tensors, one row per prompt.

The names are the denoiser's own keyword arguments (`encoder_hidden_states`, `class_labels`, …), so
a new pipeline layout adds names, not code. Every layout pads to a fixed length, which is why rows
of different requests join by plain concatenation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_ADDED = "added_cond_kwargs."  # what SDXL is told beside the prompt goes by this argument


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

    def arguments(self) -> dict[str, Tensor | dict[str, Tensor]]:
        """The denoiser's keyword arguments; `added_cond_kwargs.x` becomes x of that argument."""
        arguments: dict[str, Tensor | dict[str, Tensor]] = {}
        added: dict[str, Tensor] = {}
        for name, tensor in self.tensors.items():
            if name.startswith(_ADDED):
                added[name.removeprefix(_ADDED)] = tensor
            else:
                arguments[name] = tensor
        return arguments | {_ADDED[:-1]: added} if added else arguments

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
