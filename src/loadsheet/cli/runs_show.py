"""`loadsheet runs show RUN`: settings, environment, metrics, results and files of one run."""

import argparse
import sys
from collections.abc import Mapping

from loadsheet.cli.run_cells import cell, facts_table, plain_table, print_table
from loadsheet.cli.run_flags import add_runs_flag
from loadsheet.track import JSON, StoredRun, find_run, read_run
from loadsheet.track.json_value import encode
from loadsheet.track.run_comparison import flat
from loadsheet.units import format_bytes


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", metavar="RUN", help="id, a unique part of it, latest, or a path")
    add_runs_flag(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable, all metrics")


def run(arguments: argparse.Namespace) -> int:
    stored = read_run(find_run(arguments.runs, arguments.run_id))
    if arguments.json:
        sys.stdout.write(encode(_fields(stored)) + "\n")
        return 0
    commit = f", commit {stored.commit}" if stored.commit else ""
    print(f"{stored.id}\n{stored.command}, {stored.status}, started {stored.started_at}{commit}")
    _print_facts("config", flat(stored.config))
    _print_facts("environment", flat(stored.environment))
    _print_metrics(stored)
    _print_facts("summary", flat(stored.summary))
    files = {path.name: format_bytes(path.stat().st_size) for path in stored.artifacts}
    _print_facts("artifacts", files)
    return 0


def _print_facts(title: str, facts: Mapping[str, JSON]) -> None:
    if not facts:
        return
    print()
    print_table(facts_table(title, facts))


def _print_metrics(stored: StoredRun) -> None:
    if not stored.metrics:
        return
    table = plain_table(["metric", "points", "first", "lowest", "highest", "last", "at step"])
    for name in stored.metric_names():
        points = stored.series(name)
        values = [point.values[name] for point in points]
        ends = (values[0], min(values), max(values), values[-1])
        table.add_row(name, cell(len(values)), *map(cell, ends), cell(points[-1].step))
    print()
    print_table(table)


def _fields(stored: StoredRun) -> dict[str, JSON]:
    return {
        "id": stored.id,
        "command": stored.command,
        "name": stored.name,
        "status": stored.status,
        "started_at": stored.started_at,
        "commit": stored.commit,
        "config": stored.config,
        "environment": stored.environment,
        "summary": stored.summary,
        "metrics": [
            {"step": point.step, "time_s": point.time_s, **point.values} for point in stored.metrics
        ],
        "artifacts": [str(path) for path in stored.artifacts],
    }
