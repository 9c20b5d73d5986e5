"""Matrix products of the decoder, in the layout its device reads fastest.

Decoding multiplies every weight with a few rows, so its time is the time to read the weights. On a
CPU torch's stock product reads a plain weight at about half the speed of memory; oneDNN reads one
that was packed for it at load at full speed (docs/design/log.md).
"""

import platform
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Row count the packing is tuned for. Measured: packed for 1, 8, 64 or 256 rows is equally fast at
# each of them.
_ROWS_HINT = 64


@dataclass(frozen=True, slots=True)
class PlainLinear:
    weight_OI: Tensor
    bias_O: Tensor | None

    def __call__(self, x_NI: Tensor) -> Tensor:
        return F.linear(x_NI, self.weight_OI, self.bias_O)


@dataclass(frozen=True, slots=True)
class PackedLinear:
    """oneDNN on CPU. `packed` is opaque: it has no numbers to read back."""

    packed: Tensor
    bias_O: Tensor | None

    def __call__(self, x_NI: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            x_NI, self.packed, self.bias_O, "none", [], ""
        )
        return out


def build_linear(weight_OI: Tensor, bias_O: Tensor | None = None) -> PlainLinear | PackedLinear:
    """The fastest product for the weight's device and dtype; the weight may be freed afterwards."""
    if not _is_packable(weight_OI):
        return PlainLinear(weight_OI, bias_O)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight_OI.contiguous(), _ROWS_HINT)
    return PackedLinear(packed, bias_O)


def _is_packable(weight_OI: Tensor) -> bool:
    # These operators are not documented torch API: a build without them runs the plain product.
    return (
        weight_OI.device.type == "cpu"
        and platform.machine() in ("x86_64", "AMD64")  # measured there only
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and _is_dtype_packable(weight_OI.dtype)
    )


def _is_dtype_packable(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
