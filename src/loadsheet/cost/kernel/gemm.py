"""Seconds of one matrix product: tiles over units in waves, the inner dimension in slabs.

A product [m, k] x [k, n] is cut into output tiles; each unit works on one tile at a time, so the
last wave may run half empty (wave quantisation) and edge tiles compute padding (tile
quantisation). Within a tile, every slab of 128 operand bytes costs the slowest of arithmetic, the
unit's own bandwidth to the cache, and latency. Few tiles are split along k, as libraries do, and
the cheapest tiling is taken. Memory traffic runs beside it and joins in a p-norm.
"""

import math
from dataclasses import dataclass

from loadsheet.cost.kernel.constants import Family, GemmConstants, family_named
from loadsheet.cost.kernel.memory import MemoryRates
from loadsheet.cost.kernel.silicon import Silicon, silicon_of
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device
from loadsheet.specs.precision import BITS, WEIGHT_ONLY

_TILES = (
    (16, 64), (16, 128), (32, 64), (64, 32), (64, 64), (64, 128),
    (128, 64), (128, 128), (64, 256), (128, 256), (256, 128),
)  # fmt: skip
_SPLITS = (1, 2, 4, 8, 16, 32)
_SLAB_BYTES = 128
_MAX_OVERLAP = 3  # tiles in flight per unit that hide each other's latency
_CUT = 1.5  # headroom from which a chip counts as cut down
_LONG_S = 1e-3  # kernels beyond this feel the power limit


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmShape:
    """`batch` independent products run in one launch. `is_warm` assumes what a benchmark's loop
    leaves in the cache; a layer among others finds its weights cold."""

    m: int
    n: int
    k: int
    dtype: str = "bf16"
    batch: int = 1
    is_warm: bool = False
    is_fused: bool = False  # activations come quantised by the operator before
    moved_bytes: float | None = None  # activations in and out, where they are not m x k and m x n
    launch_share: float = 1.0  # of the launch measured alone
    is_sustained: bool = False  # one of many heavy kernels in a row: the power limit counts
    is_ragged: bool = False  # `m` is a mean: products of one launch differ in their rows
    peak_share: float = 1.0  # of the arithmetic that a plain product of these sizes would reach

    def __post_init__(self) -> None:
        if min(self.m, self.n, self.k, self.batch) < 1:
            raise ConfigError(
                f"a product of m {self.m}, n {self.n}, k {self.k}, batch {self.batch}: "
                "each must be 1 or more"
            )
        if self.dtype not in BITS:
            raise ConfigError(f"dtype {self.dtype!r} is unknown; choose from {', '.join(BITS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operands:
    """Bytes per activation as multiplied and per weight as stored, and the peak for them."""

    width: float
    weight_width: float
    peak_flops_per_s: float


def gemm_seconds(shape: GemmShape, device: Device) -> float:
    """One launch, as in a captured graph, with 8-bit activations quantised on the way in."""
    family = family_named(silicon_of(device).family)
    operands = operands_of(shape.dtype, device)
    constants = family.gemm if operands.width >= 2 else family.gemm_narrow
    chip = chip_of(device, is_sustained=shape.is_sustained)
    return product_seconds(shape, operands, chip, constants)


def operands_of(dtype: str, device: Device) -> Operands:
    """A weight-only format, or one the chip cannot multiply, is unpacked on the way."""
    native = device.native("bf16" if dtype in WEIGHT_ONLY else dtype)
    width = 2.0 ** round(math.log2(BITS[native] / 8))  # block scales come with the weights
    return Operands(
        width=width,
        weight_width=min(BITS[dtype] / 8, max(BITS[native] / 8, width)),
        peak_flops_per_s=device.peak_flops_per_s[native],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """`share` scales the family's share of the peak; `headroom` is how much more the units could
    multiply than the datasheet sells (half-rate products of consumer cards): such a chip is not
    limited by feeding its units and reaches its peak."""

    silicon: Silicon
    memory_bytes_per_s: float
    share: float = 1.0
    headroom: float = 1.0

    def reached(self, family_share: float) -> float:
        share = family_share * self.share
        return share if self.headroom < _CUT else min(1.0, share * self.headroom)


def chip_of(device: Device, *, is_sustained: bool = False) -> Chip:
    silicon = silicon_of(device)
    family = family_named(silicon.family)
    peak = device.flops_per_s("bf16")
    full = silicon.num_units * silicon.clock_hz * family.flops_per_clock
    share = _published_share(device, family)
    if is_sustained:
        share *= sustained_share(device, family)
    return Chip(
        silicon=silicon,
        memory_bytes_per_s=device.memory_bytes_per_s,
        share=share,
        headroom=full / peak if family.flops_per_clock else 1.0,
    )


def sustained_share(device: Device, family: Family) -> float:
    """Of the boost clock, held under the power limit through seconds of dense arithmetic. Dynamic
    power grows with clock times voltage squared; near the limit that is about the clock squared."""
    if not device.power_w or not family.boost_w_per_tflops:
        return 1.0
    watts = device.power_w / (device.flops_per_s("bf16") / 1e12)
    return min(1.0, math.sqrt(watts / family.boost_w_per_tflops))


def _published_share(device: Device, family: Family) -> float:
    """How this chip's published best matmul compares with the fitted chip's, as shares of their
    datasheet peaks; 1 when none was published."""
    best, peak = device.measured_flops_per_s.get("bf16"), device.peak_flops_per_s.get("bf16")
    if not best or not peak or not family.measured_share:
        return 1.0
    return best / peak / family.measured_share


def product_seconds(shape: GemmShape, operands: Operands, chip: Chip, c: GemmConstants) -> float:
    """The model on explicit constants, which is what fitting calls."""
    m, n, k, batch = shape.m, shape.n, shape.k, shape.batch
    peak = operands.peak_flops_per_s * chip.reached(c.peak_share) * shape.peak_share
    rates = _rates(chip, c)
    moved = shape.moved_bytes
    if moved is None:
        moved = batch * (operands.width * m * k + 2.0 * m * n)
    weights = batch * operands.weight_width * n * k
    footprint = weights * c.resident_copies + moved if shape.is_warm else math.inf
    memory_s = rates.seconds(moved, moved) + rates.seconds(weights, footprint)
    grid = _Grid(
        m=m,
        n=n,
        slab_bytes=k * operands.width,
        batch=batch,
        width=operands.width,
        is_ragged=shape.is_ragged,
    )
    body_s = _cheapest(grid, memory_s, _unit(chip.silicon, peak, c), rates, c)
    arithmetic_s = 2.0 * batch * m * n * k / peak
    throttled_s = c.throttle * arithmetic_s**2 / (arithmetic_s + _LONG_S)
    quantise_s = 0.0
    if operands.width < 2 and not shape.is_fused:
        values = batch * m * k
        quantise_s = rates.seconds(c.quantise_bytes * values, 3.0 * values)
    return body_s + throttled_s + quantise_s + c.launch_us * shape.launch_share * 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    m: int
    n: int
    slab_bytes: float  # the inner dimension in bytes
    batch: int
    width: float
    is_ragged: bool

    def tiles(self, rows: int, columns: int) -> int:
        """Rows spread around a mean leave half a tile of padding each, whatever the mean."""
        down = max(1.0, self.m / rows + 0.5) if self.is_ragged else math.ceil(self.m / rows)
        return math.ceil(down * math.ceil(self.n / columns) * self.batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """One unit: its arithmetic, its port to the cache, its latency per slab."""

    count: int
    flops_per_s: float
    bytes_per_s: float
    slab_s: float


def _unit(silicon: Silicon, peak: float, c: GemmConstants) -> _Unit:
    return _Unit(
        count=silicon.num_units,
        flops_per_s=peak / silicon.num_units,
        bytes_per_s=c.unit_bytes_per_clock * silicon.clock_hz,
        slab_s=c.slab_clocks / silicon.clock_hz,
    )


def _rates(chip: Chip, c: GemmConstants) -> MemoryRates:
    memory = chip.memory_bytes_per_s * c.memory_share
    return MemoryRates(
        memory=memory, cache=memory * c.cache_gain, cache_bytes=chip.silicon.cache_bytes
    )


def _cheapest(
    grid: _Grid, memory_s: float, unit: _Unit, rates: MemoryRates, c: GemmConstants
) -> float:
    best = math.inf
    power, tile_s = c.sharpness, c.tile_us * 1e-6
    for tm, tn in _TILES:
        area = tm * tn
        tiles = grid.tiles(tm, tn)
        slab_flops = 2.0 * area * (_SLAB_BYTES / grid.width)
        slow = 1 + c.small_tile * 4096 / area
        slab_s = max(
            slab_flops / unit.flops_per_s * slow, (tm + tn) * _SLAB_BYTES / unit.bytes_per_s
        )
        for split in _SPLITS if c.can_split else _SPLITS[:1]:
            load = tiles * split / unit.count
            slabs = math.ceil(grid.slab_bytes / (split * _SLAB_BYTES))
            step_s = max(slab_s, unit.slab_s / min(max(load, 1.0), _MAX_OVERLAP))
            units_s = math.ceil(load) * (slabs * step_s + tile_s)
            partial_s = 0.0 if split == 1 else 8.0 * split * grid.batch * grid.m * grid.n
            traffic_s = memory_s + partial_s / rates.cache
            slower, faster = max(units_s, traffic_s), min(units_s, traffic_s)
            total = slower * (1 + (faster / slower) ** power) ** (1 / power)
            best = min(best, total + (0.0 if split == 1 else c.split_us * 1e-6))
            if load >= 2 * unit.count:
                break  # already many waves: splitting only adds traffic
    return best
