"""Where a model runs and in which number format: `auto` resolved once, at start, into a value.

bf16 halves the bytes that decoding has to read, but only where the device multiplies it natively;
elsewhere it is emulated and slower than fp32.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from loadsheet.errors import ConfigError

logger = logging.getLogger(__name__)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_CPUINFO = Path("/proc/cpuinfo")
# x86: AVX-512 BF16, AMX; ARM (Neoverse, Graviton 3): BF16
_FAST_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    device: torch.device
    dtype: torch.dtype


def resolve_placement(device: str = "auto", dtype: str = "auto") -> Placement:
    """`device`: auto, cpu, mps, cuda or cuda:N. `dtype`: auto, bf16, fp16 or fp32."""
    torch_device = _resolve_device(device)
    placement = Placement(device=torch_device, dtype=_resolve_dtype(dtype, torch_device))
    logger.info("placement device=%s dtype=%s", placement.device, placement.dtype)
    return placement


def _resolve_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "mps", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise ConfigError(f"device is {name!r}; give auto, cpu, mps, cuda or cuda:N")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device is 'mps', but this machine has none; give auto or cpu")
    if kind == "cuda":
        return torch.device("cuda", _checked_cuda_index(name, int(index or 0)))
    return torch.device(kind)


def _checked_cuda_index(name: str, index: int) -> int:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise ConfigError(
            f"device is {name!r}, but torch sees {count} CUDA devices; give auto or cpu"
        )
    return index


def _resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if _has_fast_bf16(device) else torch.float32
    if name not in DTYPES:
        raise ConfigError(f"dtype is {name!r}; give auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise ConfigError("dtype is 'fp16', which a CPU only emulates; give auto, bf16 or fp32")
    if name == "bf16" and not _has_fast_bf16(device):
        logger.warning("bf16 is emulated on %s: expect it to be slower than fp32", device)
    return DTYPES[name]


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return bool(torch.backends.mps.is_macos_or_newer(14, 0))
    return _CPUINFO.exists() and has_bf16_flag(_CPUINFO.read_text())


def device_memory_bytes(device: str = "auto") -> int | None:
    """Of its own; None for a device that uses the host's."""
    found = _resolve_device(device)
    if found.type != "cuda":
        return None
    return int(torch.cuda.get_device_properties(found).total_memory)


def has_bf16_flag(cpuinfo: str) -> bool:
    """Whether the text of Linux's /proc/cpuinfo names a bf16 instruction set."""
    return not _FAST_BF16_FLAGS.isdisjoint(cpuinfo.split())
