"""Progress of fetching and converting models: a bar in a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from loadsheet.engine.assets import AssetProgress


@contextmanager
def asset_progress(console: Console) -> "Iterator[Callable[[AssetProgress], None]]":
    """Yields what to call with each AssetProgress."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description:36}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Lines:
    """One line per stage, so that a log file stays short."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: set[tuple[str, str]] = set()

    def __call__(self, progress: "AssetProgress") -> None:
        key = (progress.asset, progress.stage)
        if key not in self._seen:
            self._seen.add(key)
            self._console.print(f"{progress.asset}: {progress.stage}", highlight=False)


class _Bars:
    """One bar per asset; it starts again with each stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, progress: "AssetProgress") -> None:
        if progress.asset not in self._tasks:
            self._tasks[progress.asset] = self._bars.add_task(progress.asset)
        self._bars.update(
            self._tasks[progress.asset],
            description=f"{progress.asset} {progress.stage}",
            completed=progress.done_bytes,
            total=progress.total_bytes or None,
        )
