import platform

import pytest
import torch
import torch.nn.functional as F

from loadsheet.engine.text.linear import PackedLinear, PlainLinear, build_linear


def random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("rows", [1, 3, 64, 100])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_equals_the_stock_product(rows, has_bias, dtype, tolerance) -> None:
    weight = random(40, 24, dtype=dtype)
    bias = random(40, dtype=dtype) if has_bias else None
    x = random(rows, 24, dtype=dtype)
    with torch.inference_mode():
        found = build_linear(weight, bias)(x)
        expected = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    assert found.dtype == dtype
    assert found.shape == (rows, 40)
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="packed on x86 only")
def test_fp32_is_packed_on_x86() -> None:
    assert isinstance(build_linear(random(8, 8, dtype=torch.float32)), PackedLinear)


def test_what_cannot_be_packed_stays_plain() -> None:
    assert isinstance(build_linear(random(8, 8, dtype=torch.float64)), PlainLinear)
    assert isinstance(build_linear(torch.empty(8, 8, device="meta")), PlainLinear)
