"""One vector per text from the vectors of its tokens. Shapes: B texts, T tokens, D hidden."""

import math

from torch import Tensor
from torch.nn import functional


def sentence_embedding(hidden_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over unmasked tokens, scaled to length sqrt(D) so that entries have variance 1.

    Divided by sqrt(D) it is what sentence-transformers computes for MiniLM. float32 [B, D].
    """
    weight_BT1 = mask_BT[..., None].float()
    mean_BD = (hidden_BTD.float() * weight_BT1).sum(dim=1) / weight_BT1.sum(dim=1)
    return functional.normalize(mean_BD, dim=-1) * math.sqrt(mean_BD.shape[-1])
