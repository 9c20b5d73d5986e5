"""`loadsheet assets`: put the default models on this machine; a second call does nothing."""

import argparse
from pathlib import Path

from rich.console import Console

from loadsheet.cli.asset_progress import asset_progress


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="catalogue names; default: both")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="where models are kept")
    parser.add_argument(
        "--from",
        dest="from_dir",
        type=Path,
        metavar="DIR",
        help="take wheels that were downloaded by hand from here",
    )


def run(arguments: argparse.Namespace) -> int:
    # numpy and tokenizers are needed for the conversion; `--help` should not wait for them
    from loadsheet.engine.assets import DEFAULT_ASSETS, ensure_assets

    console = Console(stderr=True)
    names = tuple(arguments.names) or DEFAULT_ASSETS
    with asset_progress(console) as on_progress:
        paths = ensure_assets(names, arguments.cache_dir, on_progress, from_dir=arguments.from_dir)
    for name, path in paths.items():
        console.print(f"[green]ready[/] {name}  [dim]{path}[/]", soft_wrap=True)
    return 0
