"""`loadsheet runs plot RUN … --metric loss --out loss.svg`: curves of several runs."""

import argparse
from pathlib import Path

from loadsheet.cli.run_flags import add_runs_flag
from loadsheet.track import find_run, read_run
from loadsheet.track.run_plot import plot_runs


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_ids", metavar="RUN", nargs="+", help="one or more runs")
    add_runs_flag(parser)
    parser.add_argument("--metric", default="loss", help="what to draw (default loss)")
    parser.add_argument("--x", choices=["step", "time_s"], default="step", help="against what")
    parser.add_argument("--log", action="store_true", help="logarithmic values")
    parser.add_argument("--out", type=Path, help=".svg or .png (default METRIC.svg)")


def run(arguments: argparse.Namespace) -> int:
    runs = [read_run(find_run(arguments.runs, run_id)) for run_id in arguments.run_ids]
    out = arguments.out or Path(f"{arguments.metric}.svg")
    plot_runs(runs, arguments.metric, out, x=arguments.x, log_y=arguments.log)
    print(f"wrote {out}")
    return 0
