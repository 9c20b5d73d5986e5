"""Captions as the denoiser sees them: MiniLM token states, their mask, and one pooled vector.

`tokens` is MiniLM's last hidden state (384 wide, 32 positions, padded); `pooled` is the sentence
embedding as the encoder was trained to give it (masked mean, unit length) times sqrt(384), so that
its elements have about unit variance. The unconditional branch of guidance is the empty caption,
encoded the same way.

Shapes: B captions, T tokens, D width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, BertModel

from loadsheet.adapt.stage_progress import OnCount, nothing
from loadsheet.engine.image.component import quiet_transformers

TEXT_MAX_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """What the U-Net takes beside the latents; `mask_BT` is 1 for a token, 0 for padding."""

    tokens_BTD: Tensor
    mask_BT: Tensor
    pooled_BD: Tensor


class TextEncoder:
    """MiniLM from a local folder."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        with quiet_transformers():  # MiniLM's file also holds a pooler, which nobody needs
            self.model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> Conditioning:
        """Encode, padded to TEXT_MAX_LENGTH tokens."""
        batch = self.tokenizer(
            list(captions),
            padding="max_length",
            truncation=True,
            max_length=TEXT_MAX_LENGTH,
            return_tensors="pt",
        )
        mask_BT = batch["attention_mask"]
        states = self.model(input_ids=batch["input_ids"], attention_mask=mask_BT)
        tokens_BTD = states.last_hidden_state
        return Conditioning(
            tokens_BTD=tokens_BTD, mask_BT=mask_BT.float(), pooled_BD=pooled(tokens_BTD, mask_BT)
        )


def pooled(tokens_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Masked mean over tokens, scaled to length sqrt(D)."""
    mask_BT1 = mask_BT.unsqueeze(-1).to(tokens_BTD.dtype)
    mean_BD = (tokens_BTD * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1)
    scale = math.sqrt(tokens_BTD.shape[-1])
    return functional.normalize(mean_BD, dim=-1) * scale


class CaptionCache:
    """Encoded captions, looked up by number: half precision, padding left out.

    Padding is masked in the U-Net, so a batch is padded only to its longest caption.
    """

    def __init__(self, states: list[Tensor], pooled_ND: Tensor) -> None:
        self.states = states
        self.pooled_ND = pooled_ND

    @classmethod
    def encode(
        cls,
        encoder: TextEncoder,
        captions: Sequence[str],
        batch_size: int = 128,
        on_encoded: OnCount = nothing,
    ) -> "CaptionCache":
        """Encode each caption once."""
        states: list[Tensor] = []
        pooled_chunks: list[Tensor] = []
        for start in range(0, len(captions), batch_size):
            batch = encoder(captions[start : start + batch_size])
            lengths = batch.mask_BT.sum(dim=1).int().tolist()
            states += [
                tokens_TD[:length].half().clone()
                for tokens_TD, length in zip(batch.tokens_BTD, lengths, strict=True)
            ]
            pooled_chunks.append(batch.pooled_BD)
            on_encoded(len(states), len(captions))
        return cls(states, torch.cat(pooled_chunks))

    def batch(self, caption_idx: Sequence[int]) -> Conditioning:
        """The conditioning of these captions."""
        states = [self.states[i] for i in caption_idx]
        tokens_BTD = pad_sequence(states, batch_first=True).float()
        lengths_B1 = torch.tensor([[len(state)] for state in states])
        positions_1T = torch.arange(tokens_BTD.shape[1]).unsqueeze(0)
        return Conditioning(
            tokens_BTD=tokens_BTD,
            mask_BT=(positions_1T < lengths_B1).float(),
            pooled_BD=self.pooled_ND[list(caption_idx)],
        )

    def save(self, path: Path) -> None:
        torch.save({"states": self.states, "pooled": self.pooled_ND}, path)

    @classmethod
    def load(cls, path: Path) -> "CaptionCache":
        data = torch.load(path, weights_only=True)
        return cls(data["states"], data["pooled"])
