"""LoRA, full fine-tuning and training from scratch of an encoder with a linear head: one loop.

Shapes: B texts, T tokens, L labels.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional

from loadsheet.adapt.bert_classifier import BertClassifier
from loadsheet.adapt.classifier_scores import Probabilities
from loadsheet.adapt.fitted_classifier import FittedClassifier
from loadsheet.adapt.labelled_text import LabelledSet
from loadsheet.adapt.loop import LoopConfig, Trainer
from loadsheet.adapt.observer import TrainingObserver
from loadsheet.adapt.text_batches import EpochBatches, in_length_order, tokenize
from loadsheet.engine.encoder.classifier_folder import (
    ClassifierFacts,
    Head,
    write_facts,
    write_head,
)
from loadsheet.engine.encoder.encoder_folder import LoadedEncoder

_EVALUATION_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuningConfig:
    """At least `min_steps` steps: a hundred texts are seen often enough to be learnt."""

    learning_rate: float
    epochs: int
    batch_size: int
    max_tokens: int
    min_steps: int
    seed: int
    autocast: bool

    def num_steps(self, steps_per_epoch: int) -> int:
        return max(self.min_steps, self.epochs * steps_per_epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedClassifier:
    """A module with the tokenizer it was trained with."""

    module: BertClassifier
    base: LoadedEncoder
    config: FineTuningConfig
    facts: ClassifierFacts

    def predict(self, texts: Sequence[str]) -> Probabilities:
        device = self.module.head.weight.device
        ids = tokenize(self.base.tokenizer, texts, self.config.max_tokens)
        probabilities_NL = np.empty((len(texts), len(self.facts.labels)))
        self.module.eval()
        for batch in in_length_order(ids, _EVALUATION_BATCH, self.base.tokenizer.pad_token_id):
            with (
                torch.no_grad(),
                torch.autocast(device.type, torch.bfloat16, enabled=self.config.autocast),
            ):
                logits_BL = self.module(batch.ids_BT.to(device), batch.mask_BT.to(device))
            softmax_BL = torch.softmax(logits_BL.double(), dim=-1)
            probabilities_NL[list(batch.indices)] = softmax_BL.cpu().numpy()
        return probabilities_NL

    def save(self, folder: Path) -> None:
        """LoRA matrices in half precision: they are small sums, and half the bytes to ship."""
        write_facts(folder, self.facts)
        head = self.module.head
        write_head(folder, Head(weight_LD=head.weight.detach(), bias_L=head.bias.detach()))
        encoder = self.module.encoder
        if isinstance(encoder, PeftModel):
            _save_lora(encoder, folder, self.facts.base_hub)
        else:
            encoder.save_pretrained(folder)  # type: ignore[operator]  # nn.Module hides the class
            self.base.tokenizer.save_pretrained(folder)


def _save_lora(encoder: PeftModel, folder: Path, base_name: str | None) -> None:
    encoder.peft_config["default"].base_model_name_or_path = base_name
    half = {
        name: tensor.detach().half().cpu()
        for name, tensor in encoder.state_dict().items()
        if "lora_" in name
    }
    # peft would ask a hub whether embeddings were resized; they were not
    encoder.save_pretrained(str(folder), state_dict=half, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # a template; the model card says more


def fine_tune(
    module: BertClassifier,
    base: LoadedEncoder,
    train: LabelledSet,
    config: FineTuningConfig,
    facts: ClassifierFacts,
    observer: TrainingObserver,
) -> FittedClassifier:
    device = next(base.model.parameters()).device
    ids = tokenize(base.tokenizer, [row.text for row in train.rows], config.max_tokens)
    labels_N = torch.tensor([row.label for row in train.rows])
    batches = EpochBatches(
        ids,
        batch_size=config.batch_size,
        pad_id=base.tokenizer.pad_token_id,
        seed=config.seed,
    )

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        # dropout draws from the global generator; seeded per step it is the same after a resume
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        batch = batches.batch(step)
        logits_BL = module(batch.ids_BT.to(device), batch.mask_BT.to(device))
        return functional.cross_entropy(logits_BL.float(), labels_N[list(batch.indices)].to(device))

    num_steps = config.num_steps(batches.steps_per_epoch)
    loop = LoopConfig(
        num_steps=num_steps,
        learning_rate=config.learning_rate,
        warmup_steps=max(1, num_steps // 10),
        ema_decay=None,
        seed=config.seed,
        autocast=config.autocast,
    )
    trainer = Trainer(module, loss, loop, device=str(device), observer=observer)
    started_cpu_s = time.process_time()
    result = trainer.run()
    parameters = list(module.parameters())
    return FittedClassifier(
        classifier=TunedClassifier(module=module, base=base, config=config, facts=facts),
        trainable_parameters=sum(one.numel() for one in parameters if one.requires_grad),
        total_parameters=sum(one.numel() for one in parameters),
        num_steps=num_steps,
        seconds=result.seconds,
        cpu_seconds=time.process_time() - started_cpu_s,
    )


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
