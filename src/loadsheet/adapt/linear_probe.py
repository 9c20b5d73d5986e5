"""A linear head on the states of a frozen encoder: logistic regression, solved to its optimum.

Shapes: N texts, D hidden, L labels.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from loadsheet.adapt.classifier_scores import Probabilities, score
from loadsheet.adapt.fitted_classifier import FittedClassifier
from loadsheet.adapt.labelled_text import LabelledSet
from loadsheet.adapt.text_states import States, TextStates
from loadsheet.adapt.tfidf import MAX_ITERATIONS
from loadsheet.engine.encoder.classifier_folder import (
    ClassifierFacts,
    Head,
    write_facts,
    write_head,
)

# States have entries of variance 1, so useful strengths lie far below those of TF-IDF.
STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeClassifier:
    """`encode` makes states with the same frozen encoder, or remembers them."""

    weight_LD: npt.NDArray[np.float64]
    bias_L: npt.NDArray[np.float64]
    encode: Callable[[Sequence[str]], States]
    facts: ClassifierFacts

    def predict(self, texts: Sequence[str]) -> Probabilities:
        return self.predict_states(self.encode(texts))

    def predict_states(self, states_ND: States) -> Probabilities:
        logits_NL = states_ND @ self.weight_LD.T + self.bias_L
        shifted_NL = np.exp(logits_NL - logits_NL.max(axis=1, keepdims=True))
        return np.asarray(shifted_NL / shifted_NL.sum(axis=1, keepdims=True), dtype=np.float64)

    def save(self, folder: Path) -> None:
        write_facts(folder, self.facts)
        weight_LD, bias_L = torch.from_numpy(self.weight_LD), torch.from_numpy(self.bias_L)
        write_head(folder, Head(weight_LD=weight_LD, bias_L=bias_L))


def fit_probe(
    train: LabelledSet,
    validation: LabelledSet,
    states: TextStates,
    facts: ClassifierFacts,
    num_encoder_parameters: int,
) -> FittedClassifier:
    """`seconds` count the encoding of the training texts at the speed measured when it was done,
    without its benefit to the next probe."""
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    train_ND = states.of([row.text for row in train.rows])
    labels_N = np.array([row.label for row in train.rows])
    held_out_ND = states.of([row.text for row in validation.rows])
    truth_N = np.array([row.label for row in validation.rows])
    fits = []
    for strength in STRENGTHS:
        regression = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
        regression.fit(train_ND, labels_N)
        probe = _as_probe(regression, states.of, facts)
        fits.append((score(probe.predict_states(held_out_ND), truth_N).nll, probe, regression))
    _, best, regression = min(fits, key=lambda fit: fit[0])
    fit_s, fit_cpu_s = time.monotonic() - started_s, time.process_time() - started_cpu_s
    return FittedClassifier(
        classifier=best,
        trainable_parameters=int(best.weight_LD.size + best.bias_L.size),
        total_parameters=int(best.weight_LD.size + best.bias_L.size) + num_encoder_parameters,
        num_steps=int(regression.n_iter_.max()),
        seconds=fit_s + states.seconds_per_text * len(train.rows),
        cpu_seconds=fit_cpu_s + states.cpu_s_per_text * len(train.rows),
        known_states=states,
    )


def _as_probe(
    regression: LogisticRegression,
    encode: Callable[[Sequence[str]], States],
    facts: ClassifierFacts,
) -> ProbeClassifier:
    """Two classes are one logit in scikit-learn: half of it to each side is the same softmax."""
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:
        weight = np.concatenate((-weight / 2, weight / 2))
        bias = np.concatenate((-bias / 2, bias / 2))
    return ProbeClassifier(weight_LD=weight, bias_L=bias, encode=encode, facts=facts)
