"""Standard, Flash and xFormers attention against length, head size and on-chip memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadsheet.cost.attention_memory import AttentionMemory, Kernel, attention_memory
from loadsheet.cost.sequence_comparison import LENGTHS
from loadsheet.hardware.device import Device

_WIDTHS = (32, 64, 128, 256)
_AT = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelCost:
    """One head at one length; `bound_s` is the roofline of its FLOPs and traffic."""

    tokens: int
    head_dim: int
    sram_bytes: int
    memory: AttentionMemory
    bound_s: float

    @property
    def intensity(self) -> float:
        return self.memory.flops / self.memory.moved_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelComparison:
    """`by_length` at one head size and on-chip memory; the others vary one of them."""

    device: str
    ridge: float
    head_dim: int
    sram_bytes: int
    by_length: tuple[KernelCost, ...]
    by_head: tuple[KernelCost, ...]
    by_sram: tuple[KernelCost, ...]

    def at(self, kernel: str, tokens: int) -> KernelCost:
        return next(
            cost for cost in self.by_length if (cost.memory.kernel, cost.tokens) == (kernel, tokens)
        )


def compare_kernels(
    names: Sequence[str], device: Device, head_dim: int, sram_bytes: int
) -> KernelComparison:
    def costs(tokens: int, dim: int, sram: int) -> list[KernelCost]:
        return [_cost(Kernel(name), (tokens, dim, sram), device) for name in names]

    return KernelComparison(
        device=device.name,
        ridge=device.ridge("bf16"),
        head_dim=head_dim,
        sram_bytes=sram_bytes,
        by_length=tuple(c for tokens in LENGTHS for c in costs(tokens, head_dim, sram_bytes)),
        by_head=tuple(c for dim in _WIDTHS for c in costs(_AT, dim, sram_bytes)),
        by_sram=tuple(
            c for times in (1, 2, 4) for c in costs(_AT, head_dim, times * sram_bytes // 2)
        ),
    )


def sentences(comparison: KernelComparison) -> list[str]:
    said = []
    names = list(dict.fromkeys(cost.memory.kernel for cost in comparison.by_length))
    long = {name: comparison.at(name, LENGTHS[-1]) for name in names}
    for name, cost in long.items():
        side = "compute" if cost.intensity >= comparison.ridge else "memory"
        said.append(
            f"{name} at {LENGTHS[-1]:,} tokens does {cost.intensity:.0f} FLOP per byte against a "
            f"ridge of {comparison.ridge:.0f}: bound by {side}, and holds "
            f"{cost.memory.held_bytes / 2**20:,.1f} MiB beside its inputs and output."
        )
    if {Kernel.STANDARD, Kernel.FLASH} <= set(names):
        standard, flash = long[Kernel.STANDARD], long[Kernel.FLASH]
        said.append(
            f"For the same FLOPs flash moves "
            f"{standard.memory.moved_bytes / flash.memory.moved_bytes:.1f} times fewer bytes than "
            f"standard and its bound is {standard.bound_s / flash.bound_s:.1f} times shorter."
        )
    return said


def _cost(kernel: Kernel, size: tuple[int, int, int], device: Device) -> KernelCost:
    tokens, head_dim, sram_bytes = size
    memory = attention_memory(kernel, tokens, head_dim, sram_bytes)
    bound_s = max(
        memory.flops / device.flops_per_s("bf16"), memory.moved_bytes / device.memory_bytes_per_s
    )
    return KernelCost(
        tokens=tokens, head_dim=head_dim, sram_bytes=sram_bytes, memory=memory, bound_s=bound_s
    )
