"""How well a decoder predicts text it never saw: nats per token, bits per byte.

Bits per byte = nats per token × tokens / bytes / ln 2: unlike a loss per token it compares models
with different tokenizers. Windows do not overlap, so the first tokens of each are predicted from
little; a sliding window would read a few per cent better.

Shape letters: B windows, T tokens of each, V vocabulary.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from loadsheet.adapt.text_tokens import HeldOut

_WINDOWS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScore:
    """Of one source; `num_tokens` were predicted."""

    source: str
    nats_per_token: float
    bits_per_byte: float
    num_tokens: int


@torch.no_grad()
def score(
    model: nn.Module, held_out: HeldOut, context_tokens: int, max_windows: int | None = None
) -> TextScore:
    """In fp32, over the first `max_windows` windows (None: all whole ones)."""
    num_windows = (len(held_out.ids) - 1) // context_tokens
    num_windows = num_windows if max_windows is None else min(num_windows, max_windows)
    row = torch.from_numpy(held_out.ids[: num_windows * context_tokens + 1]).long()
    inputs_BT = row[:-1].view(num_windows, context_tokens)
    targets_BT = row[1:].view(num_windows, context_tokens)
    nats = 0.0
    for inputs, targets in zip(
        inputs_BT.split(_WINDOWS_AT_ONCE), targets_BT.split(_WINDOWS_AT_ONCE), strict=True
    ):
        logits_NV = model(inputs).float()
        nats += F.cross_entropy(logits_NV, targets.flatten(), reduction="sum").item()
    nats_per_token = nats / targets_BT.numel()
    tokens_per_byte = len(held_out.ids) / held_out.num_bytes
    return TextScore(
        source=held_out.source,
        nats_per_token=nats_per_token,
        bits_per_byte=nats_per_token * tokens_per_byte / math.log(2),
        num_tokens=targets_BT.numel(),
    )
