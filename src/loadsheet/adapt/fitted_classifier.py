"""What every method of text adaptation gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loadsheet.adapt.classifier_scores import Probabilities


class TextClassifier(Protocol):
    def predict(self, texts: Sequence[str]) -> Probabilities:
        """Probabilities [N, L] in the order of the texts."""
        ...

    def save(self, folder: Path) -> None:
        """Write what has to be shipped, and nothing else, into an existing folder."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedClassifier:
    """`seconds` of fitting, with the reading of the data and the loading of the base left out.
    `states_s_per_text` is what `predict` saves per text because its states are known already.

    `num_steps` are optimiser steps, or iterations of L-BFGS where a convex problem is solved.
    """

    classifier: TextClassifier
    trainable_parameters: int
    total_parameters: int
    num_steps: int
    seconds: float
    states_s_per_text: float = 0.0
