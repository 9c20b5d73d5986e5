"""One adaptation of an encoder to a classification task: choose data, fit, score, keep.

    data ─► split ─► training texts of some domains ─► method ─► scores on all test texts

The test texts are the same for every method, seed and training domain, so runs can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch

from loadsheet.adapt.bert_classifier import (
    LoraSize,
    full_classifier,
    lora_classifier,
    scratch_classifier,
)
from loadsheet.adapt.fine_tuning import FineTuningConfig, fine_tune
from loadsheet.adapt.fitted_classifier import FittedClassifier
from loadsheet.adapt.labelled_text import LabelledSet
from loadsheet.adapt.linear_probe import fit_probe
from loadsheet.adapt.observer import TrainingObserver
from loadsheet.adapt.text_split import TextSplit
from loadsheet.adapt.text_states import OnBatch, States, cached_states, pooled_states
from loadsheet.adapt.tfidf import fit_tfidf
from loadsheet.engine.assets.checksum import sha256_of
from loadsheet.engine.encoder.classifier_folder import FULL_WEIGHTS, ClassifierFacts
from loadsheet.engine.encoder.encoder_folder import LoadedEncoder, load_encoder
from loadsheet.engine.torch_device import resolve_placement
from loadsheet.errors import ConfigError

ALL_BUT = "all-but-"


class TextMethod(StrEnum):
    TFIDF = "tfidf"
    PROBE = "probe"
    LORA = "lora"
    FULL = "full"
    SCRATCH = "scratch"


LEARNING_RATES = {TextMethod.LORA: 1e-3, TextMethod.FULL: 1e-4, TextMethod.SCRATCH: 3e-4}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAdaptationConfig:
    """`train_domain` is `all`, a domain, or `all-but-` and a domain. `num_train` None takes all
    texts there are; a smaller number takes a part of a larger one with the same seed.

    `learning_rate` None is the method's own. `epochs` to `lora` are not read by TF-IDF and probe.
    """

    method: TextMethod
    seed: int = 0
    train_domain: str = "all"
    num_train: int | None = None
    max_tokens: int = 64
    epochs: int = 2
    batch_size: int = 32
    min_steps: int = 100
    learning_rate: float | None = None
    lora: LoraSize = field(default_factory=LoraSize)

    def __post_init__(self) -> None:
        for name, value in (
            ("epochs", self.epochs),
            ("batch size", self.batch_size),
            ("steps", self.min_steps),
            ("training texts", 1 if self.num_train is None else self.num_train),
        ):
            if value < 1:
                raise ConfigError(f"{value} {name}; give 1 or more")
        if self.max_tokens < 4:
            raise ConfigError(f"max tokens {self.max_tokens}; give 4 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderBase:
    """The model that is adapted. `name` is how it is found again, `hub_name` how others call it."""

    folder: Path
    name: str
    hub_name: str

    def load(self, device: str) -> LoadedEncoder:
        """In float32: what learns needs its digits; arithmetic may still run in bf16."""
        placement = resolve_placement(device, "fp32")
        return load_encoder(self.folder, placement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where states are kept, where work runs, and who hears of it."""

    states_folder: Path
    device: str
    observer: TrainingObserver
    on_batch: OnBatch

    @property
    def autocast(self) -> bool:
        """bf16 arithmetic where the device has it natively."""
        return resolve_placement(self.device).dtype is torch.bfloat16


def training_texts(split: TextSplit, config: TextAdaptationConfig) -> LabelledSet:
    """The part of the training side that `config` asks for; raises ConfigError when it is not
    there or has one label only."""
    chosen = split.train.of_domains(training_domains(split.train.domains, config.train_domain))
    num_train = len(chosen.rows) if config.num_train is None else config.num_train
    if num_train > len(chosen.rows):
        raise ConfigError(
            f"{num_train} training texts asked for, {config.train_domain!r} has {len(chosen.rows)}"
        )
    order = np.random.default_rng(config.seed).permutation(len(chosen.rows))
    rows = tuple(chosen.rows[idx] for idx in order[:num_train].tolist())
    part = LabelledSet(rows=rows, labels=chosen.labels)
    if min(part.label_counts()) == 0:
        counts = dict(zip(part.labels, part.label_counts(), strict=True))
        raise ConfigError(f"the {num_train} training texts have labels {counts}; take more")
    return part


def training_domains(domains: Sequence[str], wanted: str) -> tuple[str, ...]:
    """The domains that `wanted` names."""
    left_out = wanted.removeprefix(ALL_BUT)
    if wanted == "all":
        return tuple(domains)
    if left_out not in domains:
        raise ConfigError(
            f"no domain {left_out!r}; there are {', '.join(domains)}, also with {ALL_BUT!r} "
            "before it, and all"
        )
    if left_out != wanted:
        return tuple(domain for domain in domains if domain != left_out)
    return (wanted,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAdaptation:
    """One run: the split of the data, the model to adapt, how, and where."""

    split: TextSplit
    base: EncoderBase
    config: TextAdaptationConfig
    place: Workplace

    def fit(self, train: LabelledSet) -> FittedClassifier:
        """Fit on `train`; what has to be chosen is chosen on validation texts of its domains."""
        domains = tuple({row.domain for row in train.rows})
        validation = self.split.validation.of_domains(domains)
        if self.config.method is TextMethod.TFIDF:
            return fit_tfidf(train, validation)
        encoder = self.base.load(self.place.device)
        if self.config.max_tokens > encoder.max_tokens:
            raise ConfigError(
                f"max tokens {self.config.max_tokens}; {self.base.name} reads at most "
                f"{encoder.max_tokens}"
            )
        if self.config.method is TextMethod.PROBE:
            return self._fit_probe(train, validation, encoder)
        return self._fine_tune(train, encoder)

    def _fit_probe(
        self, train: LabelledSet, validation: LabelledSet, encoder: LoadedEncoder
    ) -> FittedClassifier:
        facts, place = self._facts(train), self.place

        def encode(texts: Sequence[str]) -> States:
            return pooled_states(
                encoder,
                texts,
                max_tokens=self.config.max_tokens,
                autocast=place.autocast,
                on_batch=place.on_batch,
            )

        sides = (self.split.train, self.split.validation, self.split.test)
        texts = [row.text for side in sides for row in side.rows]
        key = f"{facts.base_sha256} {self.config.max_tokens} {place.autocast}"
        states = cached_states(place.states_folder, key, texts, encode)
        num_frozen = sum(one.numel() for one in encoder.model.parameters())
        return fit_probe(train, validation, states, facts, num_frozen)

    def _fine_tune(self, train: LabelledSet, encoder: LoadedEncoder) -> FittedClassifier:
        config, num_labels = self.config, len(train.labels)
        torch.manual_seed(config.seed)  # random weights: LoRA's A, or a whole encoder
        if config.method is TextMethod.LORA:
            module = lora_classifier(encoder, num_labels, config.lora)
        elif config.method is TextMethod.FULL:
            module = full_classifier(encoder, num_labels)
        else:
            module = scratch_classifier(encoder, num_labels)
        tuning = FineTuningConfig(
            learning_rate=config.learning_rate or LEARNING_RATES[config.method],
            epochs=config.epochs,
            batch_size=config.batch_size,
            max_tokens=config.max_tokens,
            min_steps=config.min_steps,
            seed=config.seed,
            autocast=self.place.autocast,
        )
        facts = self._facts(train)
        return fine_tune(module, encoder, train, tuning, facts, self.place.observer)

    def _facts(self, train: LabelledSet) -> ClassifierFacts:
        """LoRA and probe need the base again; full weights stand alone."""
        needs_base = self.config.method in (TextMethod.PROBE, TextMethod.LORA)
        base = self.base
        return ClassifierFacts(
            method=self.config.method.value,
            labels=train.labels,
            max_tokens=self.config.max_tokens,
            base=base.name if needs_base else None,
            base_sha256=sha256_of(base.folder / FULL_WEIGHTS) if needs_base else None,
            base_hub=base.hub_name if needs_base else None,
        )
