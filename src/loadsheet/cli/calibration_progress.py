"""Progress of a calibration: a bar in a terminal, one line per model elsewhere; on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadsheet.runtime.step_timer import OnStep


@contextmanager
def calibration_progress(console: Console) -> Iterator[OnStep]:
    """Yields what to call with what runs, how many configurations are done, and of how many."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description:44}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("calibrating")

        def show(label: str, done: int, total: int) -> None:
            bars.update(task, description=label, completed=done, total=total)

        yield show


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: set[str] = set()

    def __call__(self, label: str, done: int, total: int) -> None:
        del done, total
        name = label.split()[0]
        if name not in self._seen:
            self._seen.add(name)
            self._console.print(f"timing {name}", highlight=False)
