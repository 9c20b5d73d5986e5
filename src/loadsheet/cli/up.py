"""`loadsheet up`: the main job. Both default models on this device, behind one server."""

import argparse

from loadsheet.cli.device_flags import device_config
from loadsheet.cli.serve import add_server_flags, serve_device


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_server_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    # the engine package is for commands that run models; this module is read by all of them
    from loadsheet.engine.assets import (
        DEFAULT_CLASSIFIER,
        DEFAULT_ENCODER,
        DEFAULT_IMAGE_MODEL,
        DEFAULT_TEXT_MODEL,
        packaged_adapters,
    )

    arguments.text, arguments.image = DEFAULT_TEXT_MODEL, DEFAULT_IMAGE_MODEL
    adapters = packaged_adapters(DEFAULT_IMAGE_MODEL)
    arguments.image_adapter = [f"{name}={folder}" for name, folder in adapters.items()]
    arguments.embed, arguments.classify = DEFAULT_ENCODER, DEFAULT_CLASSIFIER
    serve_device(arguments, device_config(arguments))
    return 0
