"""An encoder with a linear head on its mean-pooled states, in the ways it can be adapted.

    probe     the encoder is frozen; the head is fitted on cached states (`linear_probe`)
    lora      low-rank matrices beside every linear layer of the encoder learn, and the head
    full      every weight learns
    scratch   the same architecture with random weights; every weight learns

Shapes: B texts, T tokens, D hidden, L labels.
"""

import warnings
from dataclasses import dataclass

from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoModel

from loadsheet.engine.encoder.encoder_folder import LoadedEncoder
from loadsheet.engine.encoder.pooling import sentence_embedding
from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSize:
    """W + (alpha / rank) · B·A with A [rank, in] and B [out, rank] (Hu et al., ICLR 2022)."""

    rank: int = 8
    alpha: int = 16

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha < 1:
            raise ConfigError(
                f"LoRA rank {self.rank} and alpha {self.alpha}; give at least 1 of each"
            )


class BertClassifier(nn.Module):
    """Logits [B, L] from token ids and mask [B, T]."""

    def __init__(self, encoder: nn.Module, hidden_size: int, num_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(hidden_size, num_labels)
        nn.init.zeros_(self.head.weight)  # starts undecided: no random direction to unlearn
        nn.init.zeros_(self.head.bias)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        states = self.encoder(input_ids=ids_BT, attention_mask=mask_BT)
        logits_BL: Tensor = self.head(sentence_embedding(states.last_hidden_state, mask_BT))
        return logits_BL


def full_classifier(base: LoadedEncoder, num_labels: int) -> BertClassifier:
    base.model.requires_grad_(True)
    return BertClassifier(base.model, base.hidden_size, num_labels)


def scratch_classifier(base: LoadedEncoder, num_labels: int) -> BertClassifier:
    """The base's config decides the architecture; its weights are not used."""
    encoder = AutoModel.from_config(base.model.config, add_pooling_layer=False)
    return BertClassifier(encoder, base.hidden_size, num_labels)


def lora_classifier(base: LoadedEncoder, num_labels: int, size: LoraSize) -> BertClassifier:
    """Every linear layer of the encoder gets a low-rank pair; everything else is frozen."""
    config = LoraConfig(
        r=size.rank, lora_alpha=size.alpha, lora_dropout=0.1, target_modules="all-linear"
    )
    with warnings.catch_warnings():  # peft asks transformers for a name that is going away
        warnings.simplefilter("ignore", FutureWarning)
        encoder = get_peft_model(base.model, config)
    return BertClassifier(encoder, base.hidden_size, num_labels)
