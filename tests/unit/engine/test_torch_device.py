import logging

import pytest
import torch

from loadsheet.engine import torch_device
from loadsheet.engine.torch_device import Placement, has_bf16_flag, resolve_placement
from loadsheet.errors import ConfigError

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with these devices and this CPU."""

    def build(*, num_cuda: int = 0, has_mps: bool = False, cpu_flags: str = "") -> None:
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(f"processor : 0\nflags : fpu sse {cpu_flags}\n")
        monkeypatch.setattr(torch_device, "_CPUINFO", cpuinfo)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: num_cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: num_cuda)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
        monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: True)

    return build


@pytest.mark.parametrize(
    ("built", "device", "dtype"),
    [
        ({"num_cuda": 2, "has_mps": True}, "cuda:0", torch.bfloat16),
        ({"has_mps": True}, "mps", torch.bfloat16),
        ({"cpu_flags": "avx512_bf16"}, "cpu", torch.bfloat16),
        ({"cpu_flags": "avx512f"}, "cpu", torch.float32),
    ],
)
def test_auto_takes_the_best_there_is(machine, built, device, dtype) -> None:
    machine(**built)
    assert resolve_placement() == Placement(device=torch.device(device), dtype=dtype)


def test_explicit_values_are_taken(machine) -> None:
    machine(num_cuda=2, cpu_flags="avx512_bf16")
    assert resolve_placement("cpu", "fp32") == Placement(device=CPU, dtype=torch.float32)
    cuda = Placement(device=torch.device("cuda:1"), dtype=torch.float16)
    assert resolve_placement("cuda:1", "fp16") == cuda
    assert resolve_placement("cuda", "bf16").device == torch.device("cuda:0")


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("gpu", "auto", "device is 'gpu'; give auto, cpu, mps, cuda or cuda:N"),
        ("cuda:x", "auto", "device is 'cuda:x'"),
        ("cpu:0", "auto", "device is 'cpu:0'"),
        ("cuda:1", "auto", "torch sees 1 CUDA devices"),
        ("mps", "auto", "this machine has none"),
        ("cpu", "int8", "dtype is 'int8'; give auto, bf16, fp16, fp32"),
        ("cpu", "fp16", "a CPU only emulates"),
    ],
)
def test_bad_values_name_what_is_possible(machine, device, dtype, message) -> None:
    machine(num_cuda=1)
    with pytest.raises(ConfigError, match=message):
        resolve_placement(device, dtype)


def test_cuda_without_any_says_so(machine) -> None:
    machine()
    with pytest.raises(ConfigError, match="torch sees 0 CUDA devices; give auto or cpu"):
        resolve_placement("cuda")


def test_emulated_bf16_is_warned_about(machine, caplog) -> None:
    machine(cpu_flags="avx2")
    with caplog.at_level(logging.WARNING):
        assert resolve_placement("cpu", "bf16").dtype == torch.bfloat16
    assert "bf16 is emulated on cpu" in caplog.text


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags : avx512f avx512_bf16", True),
        ("flags : amx_bf16", True),
        ("Features : asimd bf16 i8mm", True),
        ("flags : avx512f avx512_vnni", False),
        ("", False),
    ],
)
def test_bf16_flags(cpuinfo, expected) -> None:
    assert has_bf16_flag(cpuinfo) is expected
