"""Matrix products: limits that physics sets, and the refusals."""

import dataclasses

import pytest

from loadsheet.cost.kernel.constants import family_named
from loadsheet.cost.kernel.gemm import (
    Chip,
    GemmShape,
    Operands,
    gemm_seconds,
    operands_of,
    product_seconds,
)
from loadsheet.cost.kernel.silicon import Silicon, capacity_bytes
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device

CATALOG = DeviceCatalog()
H100 = CATALOG.find("h100-sxm-80gb")
# 100 units of 1e10 FLOP/s each, memory so fast that only arithmetic counts
PLAIN = Chip(
    silicon=Silicon(family="x", num_units=100, clock_hz=1e9, cache_bytes=1e6),
    memory_bytes_per_s=1e18,
)
PURE = dataclasses.replace(
    family_named("hopper").gemm,
    peak_share=1.0,
    memory_share=1.0,
    unit_bytes_per_clock=1e9,
    launch_us=0.0,
    tile_us=0.0,
    slab_clocks=0.0,
    small_tile=0.0,
    cache_gain=1.0,
    throttle=0.0,
    can_split=0.0,
)
OPERANDS = Operands(width=2.0, weight_width=2.0, peak_flops_per_s=1e12)


def test_a_product_that_fills_every_unit_runs_at_the_peak() -> None:
    # 100 tiles of 128x256 on 100 units, k a multiple of the slab's 64 values
    shape = GemmShape(m=1280, n=2560, k=640)
    flops = 2 * 1280 * 2560 * 640
    assert product_seconds(shape, OPERANDS, PLAIN, PURE) == pytest.approx(flops / 1e12, rel=1e-6)


def test_one_tile_more_than_units_costs_part_of_a_second_wave() -> None:
    full = product_seconds(GemmShape(m=1280, n=2560, k=640), OPERANDS, PLAIN, PURE)
    more = product_seconds(GemmShape(m=1281, n=2560, k=640), OPERANDS, PLAIN, PURE)
    assert more > 1.03 * full  # one row more is 0.08 % more work


def test_a_lone_row_pays_for_its_whole_tile() -> None:
    # tiles are 16 rows at least: 1 row and 16 rows take equally long
    one = product_seconds(GemmShape(m=1, n=64, k=640), OPERANDS, PLAIN, PURE)
    sixteen = product_seconds(GemmShape(m=16, n=64, k=640), OPERANDS, PLAIN, PURE)
    assert one == pytest.approx(sixteen, rel=1e-9)
    assert one == pytest.approx(2 * 16 * 64 * 640 / 1e10, rel=1e-6)  # on a single unit


def test_a_thin_product_cannot_beat_the_memory() -> None:
    shape = GemmShape(m=1, n=8192, k=8192)
    assert gemm_seconds(shape, H100) > 2 * 8192 * 8192 / H100.memory_bytes_per_s


def test_weights_left_in_the_cache_are_faster() -> None:
    l40s = CATALOG.find("l40s")  # 96 MB of cache; the weights take 8 MB
    warm = gemm_seconds(GemmShape(m=8, n=2048, k=2048, is_warm=True), l40s)
    cold = gemm_seconds(GemmShape(m=8, n=2048, k=2048), l40s)
    assert warm < 0.8 * cold


def test_splitting_helps_one_long_tile() -> None:
    shape = GemmShape(m=16, n=64, k=65536)
    whole = product_seconds(shape, OPERANDS, PLAIN, PURE)
    split = product_seconds(shape, OPERANDS, PLAIN, dataclasses.replace(PURE, can_split=1.0))
    assert split < 0.2 * whole


@pytest.mark.parametrize(
    ("dtype", "width", "weight_width", "peak"),
    [
        ("bf16", 2.0, 2.0, 989e12),
        ("fp8", 1.0, 1.0, 1979e12),
        ("int4", 2.0, 4.125 / 8, 989e12),  # unpacked to 16 bits, a scale per 128 values
    ],
)
def test_operands_as_they_are_multiplied(
    dtype: str, width: float, weight_width: float, peak: float
) -> None:
    found = operands_of(dtype, H100)
    assert (found.width, found.weight_width) == (width, weight_width)
    assert found.peak_flops_per_s == pytest.approx(peak)


def test_a_format_the_chip_lacks_only_saves_memory() -> None:
    a100 = CATALOG.find("a100-sxm-80gb")
    found = operands_of("fp8", a100)
    assert (found.width, found.weight_width) == (2.0, 1.0)


def test_a_throttled_chip_is_slower_only_on_long_products() -> None:
    hot = dataclasses.replace(PURE, throttle=0.5)
    long, short = GemmShape(m=12800, n=25600, k=6400), GemmShape(m=128, n=256, k=64)
    assert product_seconds(long, OPERANDS, PLAIN, hot) == pytest.approx(
        1.5 * product_seconds(long, OPERANDS, PLAIN, PURE), rel=0.01
    )
    assert product_seconds(short, OPERANDS, PLAIN, hot) == pytest.approx(
        product_seconds(short, OPERANDS, PLAIN, PURE), rel=0.01
    )


def test_impossible_products_are_refused_with_the_number() -> None:
    with pytest.raises(ConfigError, match="m 0"):
        GemmShape(m=0, n=1, k=1)
    with pytest.raises(ConfigError, match="fp7"):
        GemmShape(m=1, n=1, k=1, dtype="fp7")


def test_experts_with_uneven_rows_pay_half_a_tile_each() -> None:
    # 16 rows on average: one tile of 16 rows for even experts, one and a half for uneven ones
    even = GemmShape(m=16, n=64, k=640, batch=400)
    uneven = dataclasses.replace(even, is_ragged=True)
    ratio = product_seconds(uneven, OPERANDS, PLAIN, PURE) / product_seconds(
        even, OPERANDS, PLAIN, PURE
    )
    assert ratio == pytest.approx(1.5, rel=1e-6)


def test_a_share_of_the_peak_slows_arithmetic_and_not_memory() -> None:
    thin = GemmShape(m=1, n=8192, k=8192)
    thick = GemmShape(m=8192, n=8192, k=8192)
    halved = [dataclasses.replace(shape, peak_share=0.5) for shape in (thin, thick)]
    assert gemm_seconds(halved[0], H100) < 1.05 * gemm_seconds(thin, H100)
    assert gemm_seconds(halved[1], H100) > 1.9 * gemm_seconds(thick, H100)


def test_memory_is_sold_in_powers_of_two_and_check_bits_take_a_sixteenth() -> None:
    l40s = CATALOG.find("l40s")
    assert capacity_bytes(H100) == pytest.approx(80 * 2**30)  # the driver reports 81,559 MiB
    assert capacity_bytes(l40s) == pytest.approx(45 * 2**30)  # the driver reports 46,068 MiB


@pytest.mark.parametrize("device", list(CATALOG.devices()), ids=lambda device: device.name)
def test_wider_formats_are_slower_on_every_chip_that_has_them(device: Device) -> None:
    known = [
        dtype for dtype in ("fp32", "tf32", "bf16", "fp16") if dtype in device.peak_flops_per_s
    ]
    shape = GemmShape(m=4096, n=4096, k=4096)
    seconds = [gemm_seconds(dataclasses.replace(shape, dtype=dtype), device) for dtype in known]
    by_peak = sorted(range(len(known)), key=lambda i: device.peak_flops_per_s[known[i]])
    ordered = [seconds[i] for i in by_peak]
    assert ordered == sorted(ordered, reverse=True)
