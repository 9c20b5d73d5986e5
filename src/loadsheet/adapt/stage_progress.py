"""What a long job of several stages tells whoever watches; the bars are `cli.stage_bars`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from loadsheet.adapt.observer import Observers, TrainingObserver

OnCount = Callable[[int, int], None]
"""(pieces done, pieces in all)."""


class StageProgress(Protocol):
    """One bar per stage, open while the stage runs."""

    def training(self, stage: str) -> AbstractContextManager[TrainingObserver]:
        """For a stage of optimiser steps."""

    def counting(self, stage: str) -> AbstractContextManager[OnCount]:
        """For a stage of equal pieces: pictures drawn, captions encoded."""


class Unwatched:
    """Nobody watches: scripts and tests."""

    @contextmanager
    def training(self, stage: str) -> Iterator[TrainingObserver]:
        del stage
        yield Observers()

    @contextmanager
    def counting(self, stage: str) -> Iterator[OnCount]:
        del stage
        yield nothing


def nothing(done: int, total: int) -> None:
    """Takes the count and keeps it to itself."""
    del done, total
