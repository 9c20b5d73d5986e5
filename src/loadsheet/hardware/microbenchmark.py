"""Matrix products and memory of this machine through NumPy: what a calibration can always time.

Products of one row read a matrix once, as decoding does; square ones show the arithmetic; an
addition of large arrays shows what passes over memory cost.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from loadsheet.hardware.calibration_record import Measurement

_PRODUCTS = (
    (1, 4096, 4096),
    (4, 4096, 4096),
    (16, 2048, 2048),
    (64, 2048, 2048),
    (512, 2048, 2048),
)
_COPY_BYTES = 32 * 2**20
_RUNS = 7


def gemm_measurements(*, only_rows: int | None = None) -> Iterator[Measurement]:
    """Products in fp32; `only_rows` leaves those of so many rows."""
    draw = np.random.default_rng(0)
    for m, n, k in _PRODUCTS:
        if only_rows in (None, m):
            left = draw.random((m, k), dtype=np.float32)
            # several matrices in turn, so that none is still in the cache
            rights = [draw.random((k, n), dtype=np.float32) for _ in range(3)]
            out = np.empty((m, n), dtype=np.float32)
            calls = [_product(left, right, out) for right in rights]
            yield _median("gemm", {"m": m, "n": n, "k": k}, calls)


def copy_measurement() -> Measurement:
    """Two arrays in, one out."""
    first, second, out = (np.ones(_COPY_BYTES // 4, dtype=np.float32) for _ in range(3))
    return _median("copy", {"num_bytes": 3 * _COPY_BYTES}, [lambda: np.add(first, second, out)])


def _product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> Callable[[], object]:
    return lambda: np.matmul(left, right, out=out)


def _median(kind: str, shape: dict[str, float], calls: list[Callable[[], object]]) -> Measurement:
    times = []
    for run in range(_RUNS + 1):
        start_s = time.perf_counter()
        calls[run % len(calls)]()
        times.append(time.perf_counter() - start_s)
    times = times[1:]  # the first touches memory
    return Measurement(
        kind=kind,
        model="",
        shape=shape,
        seconds=statistics.median(times),
        fastest_s=min(times),
        runs=len(times),
    )
