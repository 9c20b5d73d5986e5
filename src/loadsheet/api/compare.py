"""`loadsheet.compare`: two ways to do the same thing, side by side.

import loadsheet as ls
print(ls.compare("attention", "lstm", "linear").table())
print(ls.compare("llama-3.1-8b", "sdxl", device="l40s").table())
"""

from collections.abc import Callable

from loadsheet.api.backbone_report import backbone_report
from loadsheet.api.kernel_report import kernel_report
from loadsheet.api.model import DEFAULT_DEVICE, find_device, find_entry
from loadsheet.api.report import Comparison
from loadsheet.api.request_report import request_report
from loadsheet.api.sequence_report import sequence_report
from loadsheet.api.space_report import space_report
from loadsheet.cost.attention_memory import Kernel
from loadsheet.cost.sequence_comparison import MECHANISMS
from loadsheet.cost.work import Work
from loadsheet.errors import ConfigError
from loadsheet.specs.precision import of

SRAM_BYTES = 192 * 1024  # shared memory of one A100 multiprocessor, as in FlashAttention's paper
_KINDS = {
    "mixers": frozenset(MECHANISMS),
    "spaces": frozenset({"latent", "pixel"}),
    "backbones": frozenset({"unet", "dit"}),
    "kernels": frozenset(map(str, Kernel)),
}


def compare(  # noqa: PLR0913 - keywords are the interface; a dataclass would only rename them
    *sides: str,
    device: str = DEFAULT_DEVICE,
    hidden: int = 4096,
    layers: int = 32,
    unet: str | None = None,
    dit: str = "pixart-sigma",
    head_dim: int = 64,
    sram_bytes: int = SRAM_BYTES,
    dtype: str = "bf16",
    batch: int = 1,
    input_tokens: int = 512,
    output_tokens: int = 128,
) -> Comparison:
    """Two or more of one kind: token mixers (attention, lstm, gru, linear, mamba2; `hidden` and
    `layers`), latent and pixel (`unet`), unet and dit at equal FLOPs, attention kernels (standard,
    flash, xformers; `head_dim` and `sram_bytes`), or models by name."""
    kind = _kind(sides)
    on = find_device(device)
    makers: dict[str, Callable[[], Comparison]] = {
        "mixers": lambda: sequence_report(sides, on, (hidden, layers)),
        "spaces": lambda: space_report(find_entry(unet or "sd-1.5"), on),
        "backbones": lambda: backbone_report(find_entry(unet or "sdxl"), find_entry(dit), on),
        "kernels": lambda: kernel_report(sides, on, head_dim, sram_bytes),
        "models": lambda: request_report(
            [find_entry(name) for name in sides],
            on,
            of(dtype),
            Work(batch=batch, input_tokens=input_tokens, output_tokens=output_tokens),
        ),
    }
    return makers[kind]()


def _kind(sides: tuple[str, ...]) -> str:
    if len(set(sides)) < 2:
        given = f"{sides[0]!r} alone has nothing beside it" if sides else "nothing to compare"
        raise ConfigError(
            f"{given}; name a second model, or compare attention lstm, latent pixel, unet dit, or "
            "standard flash"
        )
    for kind, names in _KINDS.items():
        if set(sides) <= names:
            return kind
        mixed = [name for name in sides if name in names]
        if mixed:
            other = next(name for name in sides if name not in names)
            raise ConfigError(
                f"{other!r} is no match for {mixed[0]!r}; "
                f"beside it stand {', '.join(sorted(names))}"
            )
    return "models"
