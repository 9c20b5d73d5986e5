"""How facts of runs read in the cells of a table."""

import json
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from loadsheet.track import JSON, StoredRun

_LONGEST = 60


def cell(value: JSON) -> str:
    """Numbers to four digits, absent values as nothing, short lists as JSON, long ones counted."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", " ")
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or len(text) <= _LONGEST:
        return text
    return f"{len(value)} entries (see --json)"


def last_step(run: StoredRun) -> str:
    return cell(run.metrics[-1].step) if run.metrics else ""


def duration(run: StoredRun) -> str:
    """From the start to the last logged step."""
    return f"{run.metrics[-1].time_s:.1f} s" if run.metrics else ""


def print_table(table: Table) -> None:
    """As wide as the terminal, or as the table where there is none: pipes lose nothing."""
    console = Console(file=sys.stdout, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _full_width(table))
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().splitlines()
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines))


def facts_table(title: str, facts: Mapping[str, JSON]) -> Table:
    """Names and values, both to the left."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title)
    table.add_column("", overflow="fold")
    for key, value in facts.items():
        table.add_row(key, cell(value))
    return table


def plain_table(headers: Sequence[str]) -> Table:
    """The first column left, the others right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        table.add_column(header, justify="left" if index == 0 else "right", overflow="fold")
    return table


def _full_width(table: Table) -> int:
    return Console(width=10_000, markup=False).measure(table).maximum
