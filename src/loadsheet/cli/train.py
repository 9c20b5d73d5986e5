"""`loadsheet train`: the decoder and the image model, each from nothing."""

import argparse

from loadsheet.cli.sub_commands import add_sub_commands

SUB_COMMANDS = {
    "text": "the decoder from nothing: tokenizer, training, samples, a folder that serves",
    "ablation": "one choice of the decoder measured: kv-cache, attention, mixers, jax",
    "image": "the image model from nothing: autoencoder, denoiser, a folder that serves",
    "image-report": "an image model measured: judged, beside its training set, on a sheet",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_sub_commands(parser, "train", SUB_COMMANDS)


def run(arguments: argparse.Namespace) -> int:
    return int(arguments.run_sub_command(arguments))
