"""`loadsheet runs`: what was trained and adapted, with every setting and number."""

import argparse

from loadsheet.cli.sub_commands import add_sub_commands

SUB_COMMANDS = {
    "list": "all runs of a folder, the newest last",
    "show": "one run: settings, environment, metrics, results, files",
    "compare": "runs side by side: the settings that differ, the numbers of each",
    "plot": "a metric of several runs in one picture, SVG or PNG",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_sub_commands(parser, "runs", SUB_COMMANDS)


def run(arguments: argparse.Namespace) -> int:
    return int(arguments.run_sub_command(arguments))
