"""Progress of a benchmark: a live table in a terminal, a line every few seconds elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from loadsheet.bench.progress import ClassProgress, Progress
from loadsheet.units import format_seconds
from loadsheet.workload.request import RequestKind

_LINE_EVERY_S = 5.0


class ProgressPrinter(Protocol):
    def show(self, progress: Progress) -> None: ...


@contextmanager
def progress_printer(stream: TextIO) -> Iterator[ProgressPrinter]:
    console = Console(file=stream)
    if not console.is_terminal:
        yield PlainProgress(stream)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield LiveProgress(live)


class PlainProgress:
    """One line per `_LINE_EVERY_S` and phase: for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: tuple[str, float] | None = None

    def show(self, progress: Progress) -> None:
        if self._last is not None:
            phase, at_s = self._last
            if phase == progress.phase and progress.elapsed_s < at_s + _LINE_EVERY_S:
                return
        self._last = (progress.phase, progress.elapsed_s)
        classes = "; ".join(
            f"{name}: {_described(item, progress.elapsed_s)}"
            for name, item in progress.classes.items()
        )
        self._stream.write(f"{_head(progress)} | {classes}\n")
        self._stream.flush()


class LiveProgress:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, progress: Progress) -> None:
        self._live.update(_table(progress))


def _table(progress: Progress) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(progress.total_s, 1e-9), completed=progress.elapsed_s, width=40)
    table.add_row(_head(progress), bar)
    for name, item in progress.classes.items():
        table.add_row(f"  {name}", _described(item, progress.elapsed_s))
    return table


def _head(progress: Progress) -> str:
    part = f"{progress.phase_idx + 1}/{progress.num_phases}"
    state = "draining" if progress.elapsed_s > progress.total_s else f"of {progress.total_s:.0f} s"
    return (
        f"{part} {progress.phase} {progress.elapsed_s:.0f} {state}, "
        f"{progress.num_in_flight} in flight"
    )


def _described(item: ClassProgress, elapsed_s: float) -> str:
    per_s = 1 / max(elapsed_s, 1e-9)
    if item.kind is RequestKind.TEXT:
        rate, last = f"{item.num_tokens * per_s:.1f} tok/s", "TTFT"
    else:
        rate, last = f"{item.num_images * per_s:.2f} img/s", "last"
    failed = f", {item.num_failed} failed" if item.num_failed else ""
    seen = f", {last} {format_seconds(item.last_s)}" if item.last_s is not None else ""
    return f"{item.num_ok} done, {rate}{seen}{failed}"
