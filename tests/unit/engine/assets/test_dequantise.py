import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from loadsheet.engine.assets.dequantise import dequantise, to_bfloat16
from loadsheet.engine.assets.gguf_file import TensorKind

_FINITE = st.floats(-(2.0**100), 2.0**100, width=32)


def test_q4_1_by_hand() -> None:
    # d = 0.5, m = -1, q = 0..15 in the low nibbles and 15..0 in the high ones
    nibbles = np.array([low | (15 - low) << 4 for low in range(16)], dtype=np.uint8)
    head = np.array([0.5, -1.0], dtype=np.float16).view(np.uint8)
    values = dequantise(np.concatenate([head, nibbles])[None], TensorKind.Q4_1)
    expected = [0.5 * q - 1 for q in [*range(16), *range(15, -1, -1)]]
    np.testing.assert_array_equal(values, [expected])


def test_q8_0_by_hand() -> None:
    numbers = np.arange(-16, 16, dtype=np.int8).view(np.uint8)
    block = np.concatenate([np.array([0.25], dtype=np.float16).view(np.uint8), numbers])
    values = dequantise(block[None], TensorKind.Q8_0)
    np.testing.assert_array_equal(values, [0.25 * np.arange(-16, 16)])


@pytest.mark.parametrize("kind", list(TensorKind))
@pytest.mark.parametrize("rows", [1, 7])
def test_matches_the_reference_exactly(kind: TensorKind, rows: int) -> None:
    values = np.random.default_rng(rows).normal(0, 3, (rows, 96)).astype(np.float32)
    theirs = gguf.GGMLQuantizationType(kind)
    packed = gguf.quants.quantize(values, theirs)
    expected = gguf.quants.dequantize(packed, theirs)
    ours = dequantise(packed.view(np.uint8).reshape(rows, -1), kind)
    np.testing.assert_array_equal(ours, expected)


@settings(max_examples=200)
@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=9), elements=_FINITE))
def test_bfloat16_rounds_like_torch(values: np.ndarray) -> None:
    expected = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy()
    np.testing.assert_array_equal(to_bfloat16(values).view(np.int16), expected)


def test_bfloat16_ties_go_to_even() -> None:
    # 1 + 2^-8 lies between 1 and 1 + 2^-7; 1 + 3·2^-8 between 1 + 2^-7 and 1 + 2^-6
    bits = to_bfloat16(np.array([1 + 2**-8, 1 + 3 * 2**-8], dtype=np.float32))
    assert [hex(bit) for bit in bits] == ["0x3f80", "0x3f82"]
