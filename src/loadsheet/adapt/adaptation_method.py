"""What is trained when a diffusion model is adapted, by the names that runs and tables use.

    lora-r<rank>-attention         LoRA on the attention's four projections
    lora-r<rank>-attention-conv    … and on the residual blocks' convolutions
    full                           every weight of the denoiser
    scratch                        every weight, from random ones: what the base is worth

LoRA (Hu et al. 2021) through peft on the diffusers U-Net, as diffusers' own scripts apply it.
"""

import re
from dataclasses import dataclass
from typing import Literal

from loadsheet.errors import ConfigError

ATTENTION_MODULES = ("to_q", "to_k", "to_v", "to_out.0")
CONVOLUTION_MODULES = ("conv1", "conv2", "conv_shortcut", "time_emb_proj")
METHODS = (
    "lora-r4-attention",
    "lora-r4-attention-conv",
    "lora-r16-attention",
    "lora-r16-attention-conv",
    "full",
    "scratch",
)
MAX_RANK = 256
_LORA = re.compile(r"lora-r(?P<rank>[1-9][0-9]*)-(?P<where>attention|attention-conv)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationMethod:
    """`rank` and `target_modules` are LoRA's; 0 and () elsewhere."""

    name: str
    kind: Literal["lora", "full", "scratch"]
    rank: int = 0
    target_modules: tuple[str, ...] = ()

    @property
    def default_learning_rate(self) -> float:
        """Low-rank updates start from zero and want larger steps (1e-3) than whole weights."""
        return {"lora": 2e-3, "full": 2e-4, "scratch": 8e-4}[self.kind]


def parse_method(name: str) -> AdaptationMethod:
    """ConfigError for a name of another form or a rank above MAX_RANK."""
    if name == "full":
        return AdaptationMethod(name=name, kind="full")
    if name == "scratch":
        return AdaptationMethod(name=name, kind="scratch")
    match = _LORA.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"method is {name!r}; give full, scratch, lora-r<rank>-attention or "
            "lora-r<rank>-attention-conv"
        )
    rank = int(match["rank"])
    if rank > MAX_RANK:
        raise ConfigError(f"rank is {rank}; give 1 to {MAX_RANK}")
    targets: tuple[str, ...] = ATTENTION_MODULES
    if match["where"] == "attention-conv":
        targets += CONVOLUTION_MODULES
    return AdaptationMethod(name=name, kind="lora", rank=rank, target_modules=targets)
