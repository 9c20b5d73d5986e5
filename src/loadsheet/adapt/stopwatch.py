"""Seconds of a piece of work, as little disturbed by other processes as can be had."""

import time
from collections.abc import Callable


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    """The quickest of `repeats` calls after one that warms up.

    CPU time of this process: what others take of a shared machine is not in it. With several
    threads it is their sum, so measure with one (OMP_NUM_THREADS=1).
    """
    work()
    taken = []
    for _ in range(repeats):
        started_s = time.process_time()
        work()
        taken.append(time.process_time() - started_s)
    return min(taken)
