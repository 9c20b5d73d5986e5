"""Reads the low-rank adapters that diffusers writes: `pytorch_lora_weights.safetensors`.

    unet.<module>.lora_A.weight [r, in, …]      unet.<module>.lora_B.weight [out, r, …]
    metadata["lora_adapter_metadata"]           JSON with `unet.r`, `unet.lora_alpha`, …

ΔW = (α / r) · B A (Hu et al. 2021, arXiv 2106.09685). α is the file's, r where it names none. The
names of diffusers before peft (`lora.down`, `lora.up`) mean the same. Adapters of text encoders,
DoRA and other variants would draw another picture without what is not read: they are refused.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from loadsheet.errors import AssetError, SpecError

LORA_FILE = "pytorch_lora_weights.safetensors"
_METADATA_KEY = "lora_adapter_metadata"
_KEY = re.compile(r"unet\.(?P<module>.+)\.(?P<part>lora_A|lora_B|lora\.down|lora\.up)\.weight")
_ALPHA = re.compile(r"unet\.(?P<module>.+)\.alpha")
_PART = {"lora_A": "a", "lora.down": "a", "lora_B": "b", "lora.up": "b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """One module's pair, as stored: `a` maps into the rank, `b` out of it; `scale` is α / r."""

    a: Tensor
    b: Tensor
    scale: float

    @property
    def rank(self) -> int:
        return len(self.a)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraFile:
    """`layers` by the U-Net's module names; `metadata` is the file's own, free text."""

    layers: Mapping[str, LowRank]
    metadata: Mapping[str, str]


def lora_path(folder: Path) -> Path:
    """The weights in an adapter's folder, or the file itself."""
    return folder / LORA_FILE if folder.is_dir() else folder


def read_lora(folder: Path) -> LoraFile:
    """The U-Net's pairs of an adapter folder or file; AssetError or SpecError when it has none."""
    path = lora_path(folder)
    if not path.is_file():
        raise AssetError(f"{path} is missing")
    if path.suffix != ".safetensors":
        raise AssetError(f"{path} is no .safetensors file; pickled weights are not read")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no dict
    except (OSError, SafetensorError) as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    return LoraFile(layers=_pair(path, tensors, _alphas(path, metadata)), metadata=metadata)


@dataclass(frozen=True, slots=True)
class _Alphas:
    """α of each module: its own where the file has a pattern for it, else the common one."""

    common: float | None
    patterns: Mapping[str, float]

    def of(self, module: str, rank: int) -> float:
        for pattern, alpha in self.patterns.items():
            if module == pattern or module.endswith(f".{pattern}"):
                return alpha
        return float(rank) if self.common is None else self.common


def _alphas(path: Path, metadata: Mapping[str, str]) -> _Alphas:
    text = metadata.get(_METADATA_KEY)
    if text is None:
        return _Alphas(None, {})
    try:
        config = json.loads(text)
        if config.get("unet.use_dora") or config.get("unet.use_rslora"):
            raise SpecError(f"{path} is a DoRA or rsLoRA adapter; only plain LoRA is supported")
        patterns = {str(k): float(v) for k, v in (config.get("unet.alpha_pattern") or {}).items()}
        alpha = config.get("unet.lora_alpha")
        return _Alphas(None if alpha is None else float(alpha), patterns)
    except (ValueError, AttributeError, TypeError) as error:
        raise AssetError(f"{path} has unreadable {_METADATA_KEY}: {error}") from error


def _pair(path: Path, tensors: Mapping[str, Tensor], alphas: _Alphas) -> dict[str, LowRank]:
    halves: dict[str, dict[str, Tensor]] = {}
    own_alphas: dict[str, float] = {}
    for key, tensor in tensors.items():
        if (match := _ALPHA.fullmatch(key)) is not None:
            own_alphas[match["module"]] = float(tensor)
        elif (match := _KEY.fullmatch(key)) is not None:
            halves.setdefault(match["module"], {})[_PART[match["part"]]] = tensor
        else:
            raise SpecError(
                f"{path} holds {key}; supported are LoRA pairs of the U-Net, named as diffusers "
                "names them (unet.….lora_A.weight, unet.….lora_B.weight)"
            )
    if not halves:
        raise SpecError(f"{path} holds no LoRA weights of a U-Net")
    layers = {}
    for module, pair in halves.items():
        if len(pair) < 2 or len(pair["a"]) != pair["b"].shape[1]:
            raise SpecError(f"{path}: the LoRA pair of {module} is incomplete or of two ranks")
        if not all(bool(torch.isfinite(half).all()) for half in pair.values()):
            raise SpecError(f"{path}: the LoRA pair of {module} holds infinite numbers")
        rank = len(pair["a"])
        alpha = own_alphas.get(module, alphas.of(module, rank))
        layers[module] = LowRank(a=pair["a"], b=pair["b"], scale=alpha / rank)
    return layers
