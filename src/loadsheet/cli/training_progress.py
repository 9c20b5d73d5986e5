"""Progress of a training: a bar with the loss in a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from loadsheet.adapt.observer import TrainingObserver

_LINE_EVERY_S = 10.0


@contextmanager
def training_progress(label: str, stream: TextIO | None = None) -> "Iterator[TrainingObserver]":
    """Yields the observer to hand to a Trainer; writes to stderr unless told otherwise."""
    console = Console(file=sys.stderr if stream is None else stream)
    if not console.is_terminal:
        yield PlainProgress(label, console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield BarProgress(label, bars)


class BarProgress:
    """One bar; its facts are the smoothed loss and the seconds of a step."""

    def __init__(self, label: str, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task(label, total=None, facts="")
        self._pace = _Pace()

    def on_step(self, step: int, num_steps: int, loss: float) -> None:
        facts = self._pace.facts(loss)
        self._bars.update(self._task, completed=step, total=num_steps, facts=facts)


class PlainProgress:
    """A line at the first step, every `_LINE_EVERY_S`, and at the last step."""

    def __init__(self, label: str, console: Console) -> None:
        self._label = label
        self._console = console
        self._pace = _Pace()
        self._next_s = time.monotonic()

    def on_step(self, step: int, num_steps: int, loss: float) -> None:
        facts = self._pace.facts(loss)
        now_s = time.monotonic()
        if now_s < self._next_s and step != num_steps:
            return
        self._next_s = now_s + _LINE_EVERY_S
        self._console.print(f"{self._label} {step}/{num_steps} {facts}", highlight=False)


class _Pace:
    """The loss, smoothed over about 20 steps, and the seconds of a step so far."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._count = 0
        self._loss = 0.0

    def facts(self, loss: float) -> str:
        self._count += 1
        self._loss += (loss - self._loss) / min(self._count, 20)
        pace_s = (time.monotonic() - self._started_s) / self._count
        return f"loss {self._loss:.4f}, {pace_s:.3g} s/step"
