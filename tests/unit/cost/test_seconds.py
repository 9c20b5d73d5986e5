import pytest

from loadsheet.cost.operator import Operator, OpKind, total
from loadsheet.cost.phase import phase
from loadsheet.cost.seconds import Calibration, operator_seconds, seconds
from loadsheet.hardware.catalog import device_from

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


def test_the_slower_side_of_the_roof_decides():
    assert operator_seconds(gemm(1e14, 1), DEVICE, Calibration()) == pytest.approx(1.0)
    assert operator_seconds(gemm(1, 1e12), DEVICE, Calibration()) == pytest.approx(1.0)
    assert operator_seconds(gemm(1e14, 1, dtype="fp8"), DEVICE, Calibration()) == pytest.approx(0.5)


def test_calibration_slows_each_side_and_adds_launches():
    reached = Calibration(compute_share=0.5, memory_share=0.25, launch_s=0.1)
    assert operator_seconds(gemm(1e14, 1), DEVICE, reached) == pytest.approx(2.1)
    assert operator_seconds(gemm(1, 1e12), DEVICE, reached) == pytest.approx(4.1)


def test_operators_run_one_after_the_other():
    assert seconds([gemm(1e14, 1, count=3)] * 2, DEVICE, Calibration()) == pytest.approx(6.0)


def test_an_operator_that_moves_nothing_takes_no_time():
    assert operator_seconds(gemm(0, 0), DEVICE, Calibration(launch_s=1.0)) == 0


def test_totals_multiply_by_count():
    sums = total([gemm(10, 4, count=3), gemm(1, 0)])
    assert (sums.flops, sums.bytes_read, sums.launches) == (31, 12, 3)


def test_a_phase_knows_its_side_of_the_ridge():
    memory = phase("decode", 5, [gemm(1e9, 1e9)], DEVICE, Calibration())
    compute = phase("prefill", 1, [gemm(1e12, 1e9)], DEVICE, Calibration())
    assert memory.ridge == 100
    assert (memory.bound_by, compute.bound_by) == ("memory", "compute")
    assert memory.total_seconds == 5 * memory.seconds
    assert memory.families[0].family == "mlp"
    assert memory.families[0].share == 1.0
