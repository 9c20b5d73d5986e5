from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from loadsheet.engine.assets.dequantise import to_bfloat16
from loadsheet.engine.assets.safetensors_file import Bfloat16Tensor, write_safetensors


def test_read_back_by_safetensors(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    bits = to_bfloat16(values)
    path = tmp_path / "two.safetensors"
    write_safetensors(
        path,
        [
            Bfloat16Tensor(name="in.parts", shape=(5, 3), parts=iter([bits[:2], bits[2:]])),
            Bfloat16Tensor(name="whole", shape=(3,), parts=[bits[0]]),
        ],
    )
    tensors = load_file(path)
    assert list(tensors) == ["in.parts", "whole"]
    assert torch.equal(tensors["in.parts"], torch.from_numpy(values).to(torch.bfloat16))
    assert torch.equal(tensors["whole"], torch.from_numpy(values[0]).to(torch.bfloat16))


def test_data_starts_aligned(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    write_safetensors(path, [Bfloat16Tensor(name="odd", shape=(1,), parts=[np.zeros(1, "u2")])])
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_a_short_tensor_is_our_own_fault(tmp_path: Path) -> None:
    short = Bfloat16Tensor(name="short", shape=(2, 2), parts=[np.zeros(3, np.uint16)])
    with pytest.raises(AssertionError, match="short: 6 bytes"):
        write_safetensors(tmp_path / "bad.safetensors", [short])
