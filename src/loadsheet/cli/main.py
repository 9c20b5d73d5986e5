"""`loadsheet COMMAND …`: the table of commands and nothing else.

Each command is a module of this package with `add_flags(parser)` and `run(arguments) -> exit code`.
Only the one that is asked for is imported, so that light commands start in a blink.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from loadsheet import __version__
from loadsheet.cli.parser import Parser
from loadsheet.errors import LoadsheetError

COMMANDS = {
    "plan": "from traffic and devices to a plan: what to run where, at what cost",
    "explain": "one model taken apart: params, FLOPs, bytes, time, memory by owner",
    "compare": "side by side: attention and recurrence, latent and pixel, models",
    "predict": "price many cases: one JSON line in, one out",
    "simulate": "a plan or models on devices under a workload, in virtual time",
    "bounds": "the goodput of a mix on a device that no scheduler can exceed",
    "calibrate": "measure this machine, so that it can be planned with as device cpu",
    "catalog": "search the catalogues of models and devices",
    "up": "the main job: both default models on this device, behind one server",
    "serve": "the server, with models of your choice",
    "generate": "text or an image in the terminal, without a server",
    "bench": "mixed text and image load against any OpenAI-compatible server",
    "assets": "fetch and convert the default models",
    "train": "the decoder and the image model, each from nothing",
    "adapt": "BERT to classification, diffusion to a style, and how they compare",
    "runs": "tracked runs: list, show, compare, plot",
    "scaling": "the law by which the loss falls with parameters and tokens",
    "results": "what our runs reached beside published numbers",
}

_GROUPS = {
    "plan": ("plan", "explain", "compare", "predict", "simulate", "bounds", "calibrate", "catalog"),
    "fly": ("up", "serve", "generate", "bench", "assets"),
    "learn": ("train", "adapt", "runs", "scaling", "results"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 2 bad input, 130 an interrupt."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
    except LoadsheetError as error:  # a command whose extra is not installed
        sys.stderr.write(f"loadsheet: {error}\n")
        return 2
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.WARNING,
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


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of one command, with `run` set to what executes it."""
    parser = Parser(
        prog="loadsheet",
        description="Plan, serve, benchmark and explain LLMs and image generators together.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"loadsheet {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    asked = next((word for word in argv if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, description=text[0].upper() + text[1:] + ".")
        if name == asked:
            module = importlib.import_module(f"loadsheet.cli.{name}")
            module.add_flags(command)
            command.set_defaults(run=module.run)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:  # reported by the command that was given it, which knows its flags
        commands.choices[arguments.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def _epilog() -> str:
    lines = [
        f"{group if name == names[0] else '':6}{name:10} {COMMANDS[name]}"
        for group, names in _GROUPS.items()
        for name in names
    ]
    return "commands:\n" + "\n".join(lines)
