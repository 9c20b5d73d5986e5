"""Bars for a job of several stages: one per stage, on stderr, lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loadsheet.cli.training_progress import training_progress

if TYPE_CHECKING:
    from loadsheet.adapt.observer import TrainingObserver

_LINE_EVERY_S = 10.0


class StageBars:
    """The `StageProgress` of a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream

    def training(self, stage: str) -> "AbstractContextManager[TrainingObserver]":
        return training_progress(stage, self._stream)

    @contextmanager
    def counting(self, stage: str) -> Iterator[Callable[[int, int], None]]:
        console = Console(file=self._stream)
        if not console.is_terminal:
            yield _CountLines(stage, console)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bars:
            task = bars.add_task(stage, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


class _CountLines:
    """A line every `_LINE_EVERY_S` and at the end."""

    def __init__(self, stage: str, console: Console) -> None:
        self._stage = stage
        self._console = console
        self._next_s = time.monotonic() + _LINE_EVERY_S

    def __call__(self, done: int, total: int) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s or done == total:
            self._next_s = now_s + _LINE_EVERY_S
            self._console.print(f"{self._stage} {done}/{total}", highlight=False)
