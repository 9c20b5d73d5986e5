"""Fitted constants of a chip family; `calibration/FAMILY.toml` says how each was found.

A family without measurements says which one it is `like` and overrides only what it knows better.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TypeVar

from loadsheet.cost.kernel.silicon import FOLDER, silicon_of
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmConstants:
    """Of one width of operands.

    `sharpness` is the exponent of the p-norm that joins memory and arithmetic: ∞ overlaps them
    perfectly, 1 adds them. `throttle` is the slow-down of kernels much longer than 1 ms, which
    run into the power limit. `resident_copies`: the benchmark multiplies by so many copies of the
    weights in turn, so weights that fit the cache so many times are read from it.
    """

    peak_share: float
    memory_share: float
    unit_bytes_per_clock: float  # operand bytes one unit draws from the cache
    launch_us: float
    tile_us: float  # prologue and epilogue of one output tile
    slab_clocks: float  # latency of one 128-byte slab of the inner dimension
    split_us: float  # second pass when the inner dimension is split
    small_tile: float  # tiles of 4096·x outputs run at half the rate
    sharpness: float
    cache_gain: float  # cache bandwidth over memory bandwidth
    throttle: float
    quantise_bytes: float  # moved per activation to bring it to 8 bits
    resident_copies: float
    can_split: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillConstants:
    """Of many queries per sequence. `head64_share` and `kv8_share` scale the rate of heads up to
    64 wide and of 8-bit caches; `group_share` is the rate per query head of a KV head when
    8-bit tiles are shared by a group (1 = no limit)."""

    peak_share: float
    memory_share: float
    launch_us: float
    tile_us: float
    step_us: float
    sharpness: float
    cache_gain: float
    head64_share: float
    kv8_share: float
    kv8_launch: float
    group_share: float
    long_share: float  # of the rate that very long kernels keep
    long_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConstants:
    """Of one query per sequence. `kv8_share` scales both bandwidths for an 8-bit cache."""

    memory_share: float
    unit_bytes_per_clock: float
    launch_us: float
    tile_us: float
    step_us: float
    split_us: float
    sequence_us: float  # per 1024 sequences: the block tables
    sharpness: float
    cache_gain: float
    kv8_share: float
    kv8_launch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PointwiseConstants:
    """Norms, activations and other work that only moves bytes."""

    memory_share: float
    launch_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    name: str
    gemm: GemmConstants
    gemm_narrow: GemmConstants
    prefill: PrefillConstants
    bidirectional: PrefillConstants
    decode: DecodeConstants
    pointwise: PointwiseConstants
    flops_per_clock: float  # 16-bit, of one unit at full rate; 0 if unknown
    boost_w_per_tflops: float  # power over 16-bit peak that holds the boost clock in long runs
    measured_share: float  # published best matmul over datasheet peak of the chip that was fitted
    is_fitted: bool


@cache
def family_named(name: str) -> Family:
    table = _table(name)
    return Family(
        name=name,
        gemm=_constants(GemmConstants, table, "gemm", name),
        gemm_narrow=_constants(GemmConstants, table, "gemm_narrow", name),
        prefill=_constants(PrefillConstants, table, "prefill", name),
        bidirectional=_constants(PrefillConstants, table, "bidirectional", name),
        decode=_constants(DecodeConstants, table, "decode", name),
        pointwise=_constants(PointwiseConstants, table, "pointwise", name),
        flops_per_clock=_number(table, "flops_per_clock", name),
        boost_w_per_tflops=_number(table, "boost_w_per_tflops", name),
        measured_share=_number(table, "measured_share", name),
        is_fitted="like" not in _read(name),
    )


def is_measured(device: Device) -> bool:
    """Whether kernels of its family, or steps of this very machine, were ever timed."""
    return device.rates is not None or family_named(silicon_of(device).family).is_fitted


def _read(name: str) -> dict[str, object]:
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(f"chip family {name!r} has no constants")
    with path.open("rb") as handle:
        return tomllib.load(handle)


def _table(name: str) -> dict[str, object]:
    own = _read(name)
    if "like" not in own:
        return own
    merged = _table(str(own["like"]))
    for key, value in own.items():
        below = merged.get(key)
        is_table = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = {**below, **value} if is_table else value  # type: ignore[dict-item]
    return merged


_Constants = TypeVar(
    "_Constants", GemmConstants, PrefillConstants, DecodeConstants, PointwiseConstants
)


def _constants(
    kind: type[_Constants], table: Mapping[str, object], key: str, name: str
) -> _Constants:
    part = table.get(key)
    known = {field.name for field in fields(kind)}
    if not isinstance(part, dict) or set(part) != known:
        odd = known.symmetric_difference(part) if isinstance(part, dict) else known
        raise ConfigError(f"{name}.toml: [{key}] is missing or has surplus: {sorted(odd)}")
    return kind(**{field: _number(part, field, name) for field in part})


def _number(table: Mapping[str, object], key: str, name: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"{name}.toml: {key} is {value!r}, expected a number ≥ 0")
    return float(value)
