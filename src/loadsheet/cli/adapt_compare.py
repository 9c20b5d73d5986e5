"""`loadsheet adapt compare`: both adaptations side by side, from their stored runs.

loadsheet adapt compare --runs examples/scenario-2-adapt/runs --out comparison.md
"""

import argparse
import os
import sys
from pathlib import Path

from loadsheet.adapt.comparison_figure import write_figure
from loadsheet.adapt.comparison_page import comparison_page, gather
from loadsheet.cli.run_flags import add_runs_flag
from loadsheet.errors import ConfigError
from loadsheet.track import read_runs


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_runs_flag(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the page here, not to stdout"
    )
    parser.add_argument(
        "--figure", type=Path, metavar="FILE.svg", help="draw losses and steps here"
    )


def run(arguments: argparse.Namespace) -> int:
    facts = gather(read_runs(arguments.runs))
    figure = arguments.figure
    if figure is not None and figure.suffix != ".svg":
        raise ConfigError(f"--figure {figure}: give a name that ends in .svg")
    page = comparison_page(facts, figure=_link(figure, arguments.out))
    try:
        if figure is not None:
            write_figure(facts, figure)
        if arguments.out is not None:
            arguments.out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {error.filename}: {error.strerror}") from error
    if arguments.out is None:
        sys.stdout.write(page)
    else:
        print(f"wrote {arguments.out}")
    return 0


def _link(figure: Path | None, page: Path | None) -> str | None:
    """As seen from the page."""
    if figure is None:
        return None
    folder = page.parent if page is not None else Path()
    return Path(os.path.relpath(figure, folder)).as_posix()
