"""`loadsheet runs compare RUN RUN …`: the settings that differ, the numbers of each."""

import argparse
import sys

from rich.table import Table

from loadsheet.cli.run_cells import cell, plain_table, print_table
from loadsheet.cli.run_flags import add_runs_flag
from loadsheet.errors import ConfigError
from loadsheet.track import find_run, read_run
from loadsheet.track.json_value import encode
from loadsheet.track.run_comparison import ComparedRow, compare_runs


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_ids", metavar="RUN", nargs="+", help="two or more runs")
    add_runs_flag(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(arguments: argparse.Namespace) -> int:
    if len(arguments.run_ids) < 2:
        raise ConfigError("one run given; name two or more to compare")
    runs = [read_run(find_run(arguments.runs, run_id)) for run_id in arguments.run_ids]
    rows = compare_runs(runs)
    names = [one.id for one in runs]
    if arguments.json:
        fields = [
            {"section": r.section, "key": r.key, **dict(zip(names, r.values, strict=True))}
            for r in rows
        ]
        sys.stdout.write(encode(fields) + "\n")
        return 0
    print_table(_table(names, rows))
    return 0


def _table(names: list[str], rows: tuple[ComparedRow, ...]) -> Table:
    table = plain_table(["", *names])
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            table.add_row(section, style="bold")
        table.add_row(f"  {row.key}", *map(cell, row.values))
    return table
