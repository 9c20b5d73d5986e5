"""What every method of text adaptation gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loadsheet.adapt.classifier_scores import Probabilities
from loadsheet.adapt.text_states import TextStates


class TextClassifier(Protocol):
    def predict(self, texts: Sequence[str]) -> Probabilities:
        """Probabilities [N, L] in the order of the texts."""
        ...

    def save(self, folder: Path) -> None:
        """Write what has to be shipped, and nothing else, into an existing folder."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedClassifier:
    """`seconds` of fitting by the clock on the wall, `cpu_seconds` on all cores together; the
    second is what another run on a busy machine gives again. Reading of the data and loading of the
    base are left out. `known_states` is what `predict` saves per text because it remembers states.

    `num_steps` are optimiser steps, or iterations of L-BFGS where a convex problem is solved.
    """

    classifier: TextClassifier
    trainable_parameters: int
    total_parameters: int
    num_steps: int
    seconds: float
    cpu_seconds: float
    known_states: TextStates | None = None
