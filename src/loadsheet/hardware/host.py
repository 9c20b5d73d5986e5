"""Which machine this is, for whoever reads a calibration later."""

import os
import platform
from pathlib import Path

from loadsheet.hardware.calibration_record import Host

_CPUINFO = Path("/proc/cpuinfo")


def this_host(num_threads: int) -> Host:
    """`num_threads` is what the engine computes with."""
    num_cores = os.cpu_count() or 1
    return Host(
        name=platform.node() or "unnamed",
        processor=_processor(),
        num_cores=num_cores,
        num_threads=num_threads,
        memory_bytes=_memory_bytes(),
        load=os.getloadavg()[0] / num_cores,
    )


def _processor() -> str:
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
