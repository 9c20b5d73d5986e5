"""Matrix products of the decoder, in the layout its device reads fastest.

Decoding multiplies every weight with a few rows, so its time is the time to read the weights. A
bf16 product on a CPU re-packs a plain weight on each call; oneDNN can be given one packed at load.
"""

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
    """oneDNN, bf16 on CPU. `packed` is opaque: it has no data to read back."""

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
    # These two operators are not documented torch API: a build without them runs the plain product.
    return (
        weight_OI.device.type == "cpu"
        and weight_OI.dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
