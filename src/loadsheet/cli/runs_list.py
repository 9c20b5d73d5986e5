"""`loadsheet runs list`: all runs of a folder, the newest last."""

import argparse
import json
import sys

from loadsheet.cli.run_cells import cell, duration, last_step, plain_table, print_table
from loadsheet.cli.run_flags import add_runs_flag
from loadsheet.track import StoredRun, read_runs

_RESULTS = (
    "accuracy",
    "macro_f1",
    "bits_per_byte",
    "style_score",
    "concept_accuracy",
    "fid_like",
    "psnr_db",
    "loss",
)
_MAX_RESULTS = 2


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_runs_flag(parser)
    parser.add_argument("--command", metavar="WORDS", help="only these, like 'adapt text'")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(arguments: argparse.Namespace) -> int:
    runs = read_runs(arguments.runs)
    if arguments.command is not None:
        runs = [one for one in runs if one.command.startswith(arguments.command)]
    if arguments.json:
        sys.stdout.write(json.dumps([_fields(one) for one in runs]) + "\n")
        return 0
    table = plain_table(["run", "command", "status", "steps", "took", "result"])
    for one in runs:
        cells = (one.command, one.status, last_step(one), duration(one), _result(one))
        table.add_row(one.id, *cells)
    if runs:
        print_table(table)
    print(f"{len(runs)} runs in {arguments.runs}")
    return 0


def _result(run: StoredRun) -> str:
    """The first few numbers of the summary that say how well it went."""
    found = [(name, run.number(name)) for name in _RESULTS]
    shown = [f"{name} {cell(value)}" for name, value in found if value is not None]
    return ", ".join(shown[:_MAX_RESULTS])


def _fields(run: StoredRun) -> dict[str, object]:
    return {
        "id": run.id,
        "command": run.command,
        "name": run.name,
        "status": run.status,
        "started_at": run.started_at,
        "commit": run.commit,
        "last_step": run.metrics[-1].step if run.metrics else None,
        "time_s": run.metrics[-1].time_s if run.metrics else None,
        "summary": run.summary,
    }
