"""`loadsheet adapt`: a trained model to a new task or style, and the comparison of both."""

import argparse

from loadsheet.cli.sub_commands import add_sub_commands

SUB_COMMANDS = {
    "text": "an encoder (BERT family) to text classification: probe, LoRA, full, baselines",
    "image": "a diffusion model to a new style: LoRA, full, from scratch",
    "compare": "both adaptations side by side, from their stored runs",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_sub_commands(parser, "adapt", SUB_COMMANDS)


def run(arguments: argparse.Namespace) -> int:
    return int(arguments.run_sub_command(arguments))
