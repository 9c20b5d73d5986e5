"""Drawing tokens for many rows at once where the logits are, for devices that sort fast.

The same distribution as `sampling` draws from on the host. Candidates are inverted in another
order, so one seed gives other tokens on another kind of device.

Shape letters: R rows, V vocabulary, sorted from the most likely token.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from loadsheet.runtime.payload import Sampling

# Just under 1, so that a uniform number times a sum stays under the sum in fp32.
_MAX_UNIFORM = 1 - 2**-23


def draw_on_device(
    logits_RV: Tensor, settings: Sequence[Sampling], uniforms: Sequence[float]
) -> list[int]:
    """One token id per row; one copy to the host for all."""
    vocab_size = logits_RV.shape[-1]
    numbers_R4 = torch.tensor(
        [
            (one.temperature, one.top_k or vocab_size, one.top_p, min(uniform, _MAX_UNIFORM))
            for one, uniform in zip(settings, uniforms, strict=True)
        ],
        device=logits_RV.device,
    )
    temperature_R1, top_k_R1, top_p_R1, uniform_R1 = numbers_R4.split(1, dim=1)

    probs_RV, ids_RV = (logits_RV / temperature_R1).softmax(dim=-1).sort(descending=True)
    probs_RV *= torch.arange(vocab_size, device=logits_RV.device) < top_k_R1
    cumulative_RV = probs_RV.cumsum(dim=-1)
    mass_before_RV = cumulative_RV - probs_RV
    probs_RV *= mass_before_RV < top_p_R1 * cumulative_RV[:, -1:]
    cumulative_RV = probs_RV.cumsum(dim=-1)
    columns_R1 = torch.searchsorted(cumulative_RV, uniform_R1 * cumulative_RV[:, -1:], right=True)
    tokens: list[int] = ids_RV.gather(1, columns_R1.clamp(max=vocab_size - 1))[:, 0].tolist()
    return tokens
