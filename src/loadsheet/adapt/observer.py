"""Who is told of each training step: a progress bar, the tracked run, or both.

The bar is `loadsheet.cli.training_progress`: what is written to the terminal lives in `cli`.
"""

from collections.abc import Callable
from typing import Protocol

from loadsheet.track import Run

_MIN_POINTS = 4


class TrainingObserver(Protocol):
    """Told after every optimiser step; what it does is not counted as training time."""

    def on_step(self, step: int, num_steps: int, loss: float) -> None:
        """`step` of `num_steps`, from 1; `loss` is the mean over the step's micro-batches."""


class RunLog:
    """Logs the mean loss of every `every` steps, and of the last ones, to a run; each step of a
    training of no more than 4 × `every`, which would leave no curve otherwise.

    `prefix` keeps the stages of one run apart: "vae." makes the metric "vae.loss". `more` adds
    metrics that depend on the step, like the learning rate.
    """

    def __init__(
        self,
        run: Run,
        *,
        every: int = 10,
        prefix: str = "",
        more: Callable[[int], dict[str, float]] | None = None,
    ) -> None:
        self._run = run
        self._every = every
        self._prefix = prefix
        self._more = more
        self._total = 0.0
        self._count = 0

    def on_step(self, step: int, num_steps: int, loss: float) -> None:
        self._total, self._count = self._total + loss, self._count + 1
        is_short = num_steps <= _MIN_POINTS * self._every
        if not is_short and step % self._every and step != num_steps:
            return
        metrics = {"loss": self._total / self._count}
        if self._more is not None:
            metrics |= self._more(step)
        self._run.log(step, {f"{self._prefix}{name}": value for name, value in metrics.items()})
        self._total, self._count = 0.0, 0


class Observers:
    """Tells each in turn."""

    def __init__(self, *observers: TrainingObserver) -> None:
        self._observers = observers

    def on_step(self, step: int, num_steps: int, loss: float) -> None:
        for observer in self._observers:
            observer.on_step(step, num_steps, loss)
