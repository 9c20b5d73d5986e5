"""`loadsheet up`: the main job. Both default models on this device, behind one server."""

import argparse

from rich.console import Console

from loadsheet.cli.asset_progress import asset_progress
from loadsheet.cli.device_flags import device_config
from loadsheet.cli.serve import add_server_flags, serve_device


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_server_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    # the engine loads torch for conversions; other commands must start without it
    from loadsheet.engine.assets import (
        DEFAULT_ASSETS,
        DEFAULT_IMAGE_MODEL,
        DEFAULT_TEXT_MODEL,
        ensure_assets,
    )

    with asset_progress(Console(stderr=True)) as on_progress:
        ensure_assets(DEFAULT_ASSETS, arguments.cache_dir, on_progress)
    arguments.text, arguments.image = DEFAULT_TEXT_MODEL, DEFAULT_IMAGE_MODEL
    serve_device(arguments, device_config(arguments))
    return 0
