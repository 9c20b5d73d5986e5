"""Prompts to conditioning, for the text encoders of the layouts that can be flown.

Prompts are padded to a fixed number of tokens, as the denoisers were trained; longer ones are cut,
with a warning. Shapes: B prompts, T tokens, D hidden.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import BertModel, CLIPTextModel, PreTrainedTokenizerBase

from loadsheet.engine.encoder.pooling import sentence_embedding
from loadsheet.engine.image.conditioning import Conditioning, Prompts

logger = logging.getLogger(__name__)

States = Callable[[Tensor, Tensor], Tensor]
"""Hidden states [B, T, D] of ids and mask [B, T], however they are computed."""


class PromptTokenizer:
    """Token ids and attention mask, both int64 [B, T] with T = `max_tokens`."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_tokens: int, device: torch.device
    ) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._device = device

    def __call__(self, texts: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        for length in map(len, self._tokenizer(list(texts)).input_ids):
            if length > self._max_tokens:
                logger.warning("prompt cut tokens=%d max_tokens=%d", length, self._max_tokens)
        rows = self._tokenizer(
            list(texts),
            padding="max_length",
            max_length=self._max_tokens,
            truncation=True,
            return_tensors="pt",
        )
        return rows.input_ids.to(self._device), rows.attention_mask.to(self._device)


class ClipTextEncoder:
    """SD 1.x: every padded position of CLIP's last hidden state conditions, none is masked."""

    def __init__(
        self, tokenizer: PromptTokenizer, model: CLIPTextModel, states: States | None = None
    ) -> None:
        """`states` computes the same as `model` in another way."""
        self._tokenizer = tokenizer
        self.model = model
        self._states = states

    def through(self, states: States) -> "ClipTextEncoder":
        return ClipTextEncoder(self._tokenizer, self.model, states)

    def __call__(self, prompts: Prompts) -> Conditioning:
        ids_BT, mask_BT = self._tokenizer(prompts.texts)
        hidden_BTD = (self._states or self._run)(ids_BT, mask_BT)
        return Conditioning(tensors={"encoder_hidden_states": hidden_BTD})

    def _run(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        del mask_BT
        hidden_BTD: Tensor = self.model(input_ids=ids_BT).last_hidden_state
        return hidden_BTD


class MiniLMTextEncoder:
    """Tokens for cross attention, and the sentence embedding as class label.

    The embedding is what sentence-transformers computes for MiniLM (masked mean, unit length),
    times sqrt(D) so that its entries have variance 1.
    """

    def __init__(
        self, tokenizer: PromptTokenizer, model: BertModel, states: States | None = None
    ) -> None:
        """The weights of `model` may serve embeddings and classifiers too. `states` computes the
        same as it in another way."""
        self._tokenizer = tokenizer
        self.model = model
        self._states = states

    def through(self, states: States) -> "MiniLMTextEncoder":
        return MiniLMTextEncoder(self._tokenizer, self.model, states)

    def __call__(self, prompts: Prompts) -> Conditioning:
        ids_BT, mask_BT = self._tokenizer(prompts.texts)
        hidden_BTD = (self._states or self._run)(ids_BT, mask_BT)
        return Conditioning(
            tensors={
                "encoder_hidden_states": hidden_BTD,
                "encoder_attention_mask": mask_BT,
                "class_labels": sentence_embedding(hidden_BTD, mask_BT).to(hidden_BTD.dtype),
            }
        )

    def _run(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        hidden_BTD: Tensor = self.model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        return hidden_BTD
