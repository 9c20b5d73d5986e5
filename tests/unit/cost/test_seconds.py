from dataclasses import replace

import pytest

from loadsheet.cost.kernel.operator_time import Software
from loadsheet.cost.operator import Operator, OpKind, total
from loadsheet.cost.phase import phase
from loadsheet.cost.seconds import bound_seconds, operator_bound, seconds
from loadsheet.cost.stack import Pass
from loadsheet.hardware.catalog import DeviceCatalog, device_from

DEVICE = device_from(
    {
        "name": "round",
        "vendor": "test",
        "memory_gb": 1,
        "memory_gb_per_s": 1000,
        "peak_tflops": {"bf16": 100, "fp8": 200},
        "source": "made up",
        "date": "2026-01-01",
    },
    "round.toml",
)


def gemm(flops: float, num_bytes: float, count: int = 1, dtype: str = "bf16") -> Operator:
    return Operator(
        name="layers.*.mlp.up",
        kind=OpKind.GEMM,
        flops=int(flops),
        bytes_read=int(num_bytes),
        count=count,
        dtype=dtype,
    )


def run(*ops: Operator, **beside: float) -> Pass:
    return Pass(operators=list(ops), shards=list(ops), kernels=Software(), **beside)


def test_the_slower_side_of_the_roof_decides():
    assert operator_bound(gemm(1e14, 1), DEVICE) == pytest.approx(1.0)
    assert operator_bound(gemm(1, 1e12), DEVICE) == pytest.approx(1.0)
    assert operator_bound(gemm(1e14, 1, dtype="fp8"), DEVICE) == pytest.approx(0.5)


def test_operators_run_one_after_the_other():
    assert bound_seconds([gemm(1e14, 1, count=3)] * 2, DEVICE) == pytest.approx(6.0)


def test_kernels_are_slower_than_the_bound():
    op = replace(gemm(2 * 4096**3, 6 * 4096**2), m=4096, n=4096, k=4096)
    h100 = DeviceCatalog().find("h100-sxm")
    bound = bound_seconds([op], h100)
    assert bound < seconds([op], h100, Software()) < 2 * bound


def test_an_operator_that_moves_nothing_takes_no_time():
    assert operator_bound(gemm(0, 0), DEVICE) == 0


def test_totals_multiply_by_count():
    sums = total([gemm(10, 4, count=3), gemm(1, 0)])
    assert (sums.flops, sums.bytes_read, sums.launches) == (31, 12, 3)


def test_a_phase_knows_its_side_of_the_ridge():
    sizes = {"m": 10, "n": 10, "k": 10}
    memory = phase("decode", 5, run(replace(gemm(1e9, 1e9), **sizes)), DEVICE)
    compute = phase("prefill", 1, run(replace(gemm(1e12, 1e9), **sizes)), DEVICE)
    assert memory.ridge == 100
    assert (memory.bound_by, compute.bound_by) == ("memory", "compute")
    assert memory.total_seconds == 5 * memory.seconds
    assert memory.families[0].family == "mlp"
    assert memory.families[0].share == 1.0


def test_host_and_links_stand_beside_the_kernels():
    op = replace(gemm(1e9, 1e9), m=10, n=10, k=10)
    plain = phase("decode", 1, run(op), DEVICE)
    slow = phase("decode", 1, run(op, host_s=1.0, exchange_s=2.0, issue_s=5.0), DEVICE)
    extra = {row.family: row.seconds for row in slow.families if not row.num_bytes}
    assert extra["host"] == 1.0
    assert extra["all-reduce"] == 2.0
    assert extra["waiting for launches"] == pytest.approx(5.0 - plain.seconds)
    assert slow.seconds == pytest.approx(8.0)
    assert sum(row.share for row in slow.families) == pytest.approx(1)
