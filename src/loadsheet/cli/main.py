"""`loadsheet COMMAND …`: the table of commands and nothing else."""

import argparse
import logging
import os
import sys

from loadsheet import __version__
from loadsheet.cli import assets, generate, serve, up
from loadsheet.cli.parser import Parser
from loadsheet.errors import LoadsheetError

_EPILOG = """\
fly     up         the main job: both default models on this device, behind one server
        serve      the server, with models of your choice
        generate   text or an image in the terminal, no server
        assets     fetch and convert the default models
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 is success, 2 bad input, 130 an interrupt."""
    arguments = build_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    try:
        return int(arguments.run(arguments))
    except LoadsheetError as error:
        sys.stderr.write(f"loadsheet {arguments.command}: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe left; not ours to complain about
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> Parser:
    parser = Parser(
        prog="loadsheet",
        description="Plan, serve, benchmark and explain LLMs and image generators together.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"loadsheet {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )
    for module in (up, serve, generate, assets):
        module.add_command(commands)
    return parser
