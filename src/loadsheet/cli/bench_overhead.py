"""`loadsheet bench overhead`: what the client itself can do and costs on this machine."""

import argparse
import asyncio

from loadsheet.bench.markdown import markdown_table
from loadsheet.bench.self_test import Ceiling, measure_ceilings
from loadsheet.bench.tables import Table, number
from loadsheet.units import format_seconds


def run(arguments: argparse.Namespace) -> int:
    ceilings = asyncio.run(measure_ceilings(arguments.duration))
    header = ("load", "rate", "of a core", "at a full core", "late p99", "added p50", "added p99")
    rows = tuple(_row(ceiling) for ceiling in ceilings)
    print(markdown_table(Table(header=header, rows=rows)))
    return 0


def _row(ceiling: Ceiling) -> tuple[str, ...]:
    added = (ceiling.added_p50_s, ceiling.added_p99_s)
    return (
        ceiling.what,
        f"{number(ceiling.rate)} {ceiling.unit}",
        f"{ceiling.overhead.cpu_share:.0%}",
        f"{number(ceiling.per_core)} {ceiling.unit}" if ceiling.added_p50_s is None else "",
        format_seconds(ceiling.overhead.loop_delay_p99_s),
        *("" if value is None else format_seconds(value) for value in added),
    )
