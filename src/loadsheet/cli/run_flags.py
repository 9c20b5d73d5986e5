"""The flags that every command which writes or reads tracked runs takes."""

import argparse
from pathlib import Path

RUNS = Path("runs")


def add_runs_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=Path, default=RUNS, metavar="FOLDER", help="folder of the tracked runs"
    )


def add_tracking_flags(parser: argparse.ArgumentParser) -> None:
    """What a command that starts a run takes."""
    add_runs_flag(parser)
    parser.add_argument(
        "--track",
        action="append",
        default=[],
        metavar="SINK",
        help="track elsewhere too: wandb (offline when there is no key)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all randomness (default 0)")
