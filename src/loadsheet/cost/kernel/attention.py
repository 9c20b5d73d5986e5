"""Seconds of one fused attention kernel: prefill, decode, or bidirectional.

Prefill and bidirectional follow FlashAttention (Dao 2022, 2023): one unit holds a tile of 128
queries and walks over the keys in tiles of 128; causal tiles stop at the diagonal. Decode follows
Flash-Decoding: one unit reads the keys and values of one sequence and KV head, the context is
split until the units are full, and reading the cache is the bound.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from loadsheet.cost.kernel.constants import DecodeConstants, PrefillConstants, family_named
from loadsheet.cost.kernel.gemm import Chip, chip_of
from loadsheet.cost.kernel.memory import MemoryRates
from loadsheet.cost.kernel.silicon import silicon_of
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.precision import BITS

_TILE = 128
_MAX_OVERLAP = 4


class AttentionPhase(StrEnum):
    PREFILL = "prefill"
    DECODE = "decode"
    BIDIRECTIONAL = "bidirectional"


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedShape:
    """`tokens` queries of each of `batch` sequences; `context` counts them and what is cached.
    Bidirectional queries may look at another text (cross-attention) of any length."""

    phase: AttentionPhase
    batch: int
    tokens: int
    context: int
    heads: int
    kv_heads: int
    head_dim: int
    kv_dtype: str = "bf16"
    launch_share: float = 1.0  # of the fixed time measured alone
    is_sustained: bool = False  # one of many heavy kernels in a row: the power limit counts
    is_looped: bool = False  # alone, over and over, as a benchmark runs it: long runs are throttled

    def __post_init__(self) -> None:
        sizes = (self.batch, self.tokens, self.heads, self.kv_heads, self.head_dim)
        if min((*sizes, self.context)) < 1:
            raise ConfigError(f"attention sizes {sizes} must each be 1 or more")
        if self.phase is not AttentionPhase.BIDIRECTIONAL and self.context < self.tokens:
            raise ConfigError(
                f"context {self.context} counts the {self.tokens} new tokens; "
                f"it must be at least {self.tokens}"
            )
        if self.heads % self.kv_heads:
            raise ConfigError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.kv_dtype not in BITS:
            raise ConfigError(
                f"kv_dtype {self.kv_dtype!r} is unknown; choose from {', '.join(BITS)}"
            )

    @property
    def kv_width(self) -> float:
        return BITS[self.kv_dtype] / 8


def attention_seconds(shape: FusedShape, device: Device) -> float:
    silicon = silicon_of(device)
    family = family_named(silicon.family)
    chip = chip_of(device, is_sustained=shape.is_sustained)
    if shape.phase is AttentionPhase.DECODE:
        return decode_seconds(shape, chip, family.decode)
    is_causal = shape.phase is AttentionPhase.PREFILL
    constants = family.prefill if is_causal else family.bidirectional
    return prefill_seconds(shape, device.flops_per_s("bf16"), chip, constants)


def prefill_seconds(
    shape: FusedShape, peak_flops_per_s: float, chip: Chip, c: PrefillConstants
) -> float:
    """The model on explicit constants."""
    is_causal = shape.phase is AttentionPhase.PREFILL
    is_narrow = shape.kv_width < 2
    width = 64 if shape.head_dim <= 64 else 96 if shape.head_dim <= 96 else _up(shape.head_dim)
    share = chip.reached(c.peak_share * (c.head64_share if width == 64 else 1.0))
    if is_narrow:
        group = shape.heads / shape.kv_heads
        share *= c.kv8_share * min(1.0, group * c.group_share)
    unit_flops = peak_flops_per_s * share / chip.silicon.num_units
    step_s = max(4.0 * _TILE * _TILE * width / unit_flops, c.step_us * 1e-6)
    longest = math.ceil(shape.context / _TILE)
    mean = float(longest)
    if is_causal:
        mean = (math.ceil(shape.tokens / _TILE) + 1) / 2 + (shape.context - shape.tokens) / _TILE
    load = shape.batch * shape.heads * math.ceil(shape.tokens / _TILE) / chip.silicon.num_units
    waves = max(load, 1.0) if is_causal else math.ceil(load)  # causal tiles even out
    units_s = max(waves * mean, longest) * step_s + math.ceil(load) * c.tile_us * 1e-6
    if shape.is_looped:
        over = (units_s * 1e3 / c.long_ms) ** 2
        units_s *= (1 + over / c.long_share) / (1 + over)
    rates = _rates(chip, c)
    moved = 4.0 * shape.batch * shape.tokens * shape.heads * shape.head_dim + _kv_bytes(shape)
    memory_s = rates.seconds(moved, moved)
    launch_us = c.launch_us * (c.kv8_launch if is_narrow else 1.0)
    fixed_s = launch_us * shape.launch_share * 1e-6
    return _joined(units_s, memory_s, c.sharpness) + fixed_s


def decode_seconds(shape: FusedShape, chip: Chip, c: DecodeConstants) -> float:
    """The model on explicit constants."""
    units = chip.silicon.num_units
    is_narrow = shape.kv_width < 2
    share = c.kv8_share if is_narrow else 1.0
    tiles = math.ceil(shape.context / _TILE)
    rows = shape.batch * shape.kv_heads
    split = min(max(math.ceil(2 * units / rows), 1), tiles)
    load = rows * split / units
    tile_bytes = _TILE * 2 * shape.head_dim * shape.kv_width
    port = c.unit_bytes_per_clock * chip.silicon.clock_hz * share
    step_s = max(tile_bytes / port, c.step_us * 1e-6 / min(max(load, 1.0), _MAX_OVERLAP))
    units_s = math.ceil(load) * (math.ceil(tiles / split) * step_s + c.tile_us * 1e-6)
    rates = _rates(chip, c)
    moved = _kv_bytes(shape) + 4.0 * shape.batch * shape.heads * shape.head_dim
    memory_s = rates.seconds(moved, moved) / share
    fixed_us = c.launch_us * (c.kv8_launch if is_narrow else 1.0)
    fixed_us += (c.split_us if split > 1 else 0.0) + c.sequence_us * shape.batch / 1024
    fixed_s = fixed_us * shape.launch_share * 1e-6
    return _joined(units_s, memory_s, c.sharpness) + fixed_s


def _rates(chip: Chip, c: PrefillConstants | DecodeConstants) -> MemoryRates:
    memory = chip.memory_bytes_per_s * c.memory_share
    return MemoryRates(
        memory=memory, cache=memory * c.cache_gain, cache_bytes=chip.silicon.cache_bytes
    )


def _kv_bytes(shape: FusedShape) -> float:
    return 2.0 * shape.batch * shape.context * shape.kv_heads * shape.head_dim * shape.kv_width


def _joined(units_s: float, memory_s: float, sharpness: float) -> float:
    slower, faster = max(units_s, memory_s), min(units_s, memory_s)
    return float(slower * (1 + (faster / slower) ** sharpness) ** (1 / sharpness))


def _up(head_dim: int) -> int:
    """Heads are padded to multiples of 64."""
    return math.ceil(head_dim / 64) * 64
