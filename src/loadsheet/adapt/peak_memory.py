"""The most memory a piece of work held: resident bytes of the process, or bytes on a GPU.

Resident bytes include the interpreter and the libraries (some 0.5 GB with torch), so compare
methods with each other and not with a count of weights.
"""

import ctypes
import gc
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets VmHWM to the current resident size


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yields what to call inside or after the block: the peak since its start, in bytes.

    Off Linux the peak of a process cannot be reset, so there it is the peak since it began.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device)
        return
    gc.collect()  # an earlier run's module may hang in a cycle
    with suppress(OSError, AttributeError):  # glibc alone: what is free goes back to the system
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
    yield _peak_resident_bytes


def _peak_resident_bytes() -> int:
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
