"""`loadsheet scaling`: how the loss falls with parameters and tokens."""

import argparse

from loadsheet.cli.sub_commands import add_sub_commands

SUB_COMMANDS = {
    "fit": "L(N, D) = E + A/N^alpha + B/D^beta from tracked runs or a CSV, with intervals",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_sub_commands(parser, "scaling", SUB_COMMANDS)


def run(arguments: argparse.Namespace) -> int:
    return int(arguments.run_sub_command(arguments))
