"""Reads the LoRA adapters of encoders that peft writes.

    adapter_config.json          r, lora_alpha; variants are named here too
    adapter_model.safetensors    base_model.model.<module>.lora_A.weight [r, in]
                                 base_model.model.<module>.lora_B.weight [out, r]

Variants that compute something else (DoRA, rsLoRA, ranks by pattern, biases) are refused.
"""

import re
from pathlib import Path

from loadsheet.engine.encoder.classifier_folder import LORA_CONFIG, LORA_WEIGHTS, read_tensors
from loadsheet.engine.image.component import read_json
from loadsheet.engine.image.lora_file import LowRank
from loadsheet.errors import AssetError, SpecError

_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_[AB]\.weight")
_VARIANTS = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")


def read_peft_adapter(folder: Path) -> dict[str, LowRank]:
    """The pairs by the encoder's module names. Raises AssetError or SpecError."""
    scale = _scale(folder)
    tensors = read_tensors(folder / LORA_WEIGHTS)
    modules: dict[str, None] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or tensor.ndim != 2:
            raise SpecError(
                f"{folder / LORA_WEIGHTS} holds {key}; supported are LoRA pairs of linear layers"
            )
        modules[match["module"]] = None
    layers: dict[str, LowRank] = {}
    for module in modules:
        prefix = f"base_model.model.{module}.lora_"
        a, b = tensors.get(f"{prefix}A.weight"), tensors.get(f"{prefix}B.weight")
        if a is None or b is None or len(a) != b.shape[1]:
            raise SpecError(f"{folder}: the LoRA pair of {module} is incomplete or of two ranks")
        layers[module] = LowRank(a=a, b=b, scale=scale)
    return layers


def _scale(folder: Path) -> float:
    config = read_json(folder / LORA_CONFIG)
    for name in _VARIANTS:
        if config.get(name):
            raise SpecError(f"{folder / LORA_CONFIG} sets {name}; only plain LoRA is supported")
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        raise SpecError(
            f"{folder / LORA_CONFIG} is peft_type {config.get('peft_type')!r} with bias "
            f"{config.get('bias')!r}; supported is LORA with bias 'none'"
        )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or not isinstance(alpha, int | float) or rank < 1:
        raise AssetError(f"{folder / LORA_CONFIG}: r is {rank!r} and lora_alpha {alpha!r}")
    return alpha / rank
