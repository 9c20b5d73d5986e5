import pytest

from loadsheet.errors import ConfigError
from loadsheet.specs.precision import Precision, of, stored_bytes


def test_block_formats_carry_their_scales():
    assert stored_bytes(32, "mxfp4") == 17  # 32 half bytes and one scale
    assert stored_bytes(16, "nvfp4") == 9
    assert stored_bytes(1000, "fp8") == 1000


def test_weight_only_formats_multiply_in_16_bits():
    assert of("int4").compute == "bf16"
    assert of("fp8").compute == "fp8"
    assert of("fp32").activations == "fp32"
    assert of("bf16", "fp8").kv == "fp8"


def test_unknown_dtype_is_refused():
    with pytest.raises(ConfigError, match="'fp12' is unknown; choose from fp32"):
        Precision(weights="fp12")
