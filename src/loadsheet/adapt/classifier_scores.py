"""How good predicted probabilities are: accuracy, macro-F1, calibration, confusion.

    ECE = Σ_b |b|/N · |accuracy(b) - confidence(b)|     over 15 equal bins of confidence
                                                        (Guo et al., ICML 2017, eq. 3)

Shapes: N texts, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

NUM_BINS = 15
_FLOOR = 1e-12  # a probability of 0 for what is true would make the likelihood infinite


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Predictions whose confidence lies in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierScores:
    """`confusion[i][j]` counts texts of label i that were called j; `nll` in nats per text."""

    accuracy: float
    macro_f1: float
    ece: float
    nll: float
    confusion: tuple[tuple[int, ...], ...]
    bins: tuple[ReliabilityBin, ...]


def score(probabilities_NL: Probabilities, labels_N: Labels) -> ClassifierScores:
    predicted_N = probabilities_NL.argmax(axis=1)
    confusion = confusion_matrix(predicted_N, labels_N, probabilities_NL.shape[1])
    bins = reliability(probabilities_NL, labels_N)
    true_N = probabilities_NL[np.arange(len(labels_N)), labels_N]
    return ClassifierScores(
        accuracy=float((predicted_N == labels_N).mean()),
        macro_f1=macro_f1(confusion),
        ece=sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / len(labels_N),
        nll=float(-np.log(np.maximum(true_N, _FLOOR)).mean()),
        confusion=confusion,
        bins=bins,
    )


def accuracy_by_domain(
    probabilities_NL: Probabilities, labels_N: Labels, domains: Sequence[str]
) -> dict[str, float]:
    is_right_N = probabilities_NL.argmax(axis=1) == labels_N
    names_N = np.array(domains)
    return {name: float(is_right_N[names_N == name].mean()) for name in sorted(set(domains))}


def confusion_matrix(
    predicted_N: Labels, labels_N: Labels, num_labels: int
) -> tuple[tuple[int, ...], ...]:
    counts_LL = np.zeros((num_labels, num_labels), dtype=np.int64)
    np.add.at(counts_LL, (labels_N, predicted_N), 1)
    return tuple(tuple(int(count) for count in row) for row in counts_LL)


def macro_f1(confusion: Sequence[Sequence[int]]) -> float:
    """Mean over labels of 2·TP / (2·TP + FP + FN); a label that neither occurs nor is predicted
    counts 0."""
    counts_LL = np.array(confusion, dtype=np.float64)
    hits_L = counts_LL.diagonal()
    named_L = counts_LL.sum(axis=0) + counts_LL.sum(axis=1)
    f1_L = np.divide(2 * hits_L, named_L, out=np.zeros_like(hits_L), where=named_L > 0)
    return float(f1_L.mean())


def reliability(probabilities_NL: Probabilities, labels_N: Labels) -> tuple[ReliabilityBin, ...]:
    """Bins that hold at least one prediction, from low to high confidence."""
    confidence_N = probabilities_NL.max(axis=1)
    is_right_N = probabilities_NL.argmax(axis=1) == labels_N
    bin_N = np.clip(np.ceil(confidence_N * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    return tuple(
        ReliabilityBin(
            low=idx / NUM_BINS,
            high=(idx + 1) / NUM_BINS,
            count=int((bin_N == idx).sum()),
            confidence=float(confidence_N[bin_N == idx].mean()),
            accuracy=float(is_right_N[bin_N == idx].mean()),
        )
        for idx in np.unique(bin_N).tolist()
    )
