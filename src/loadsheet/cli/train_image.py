"""`loadsheet train image`: a text-to-image model from nothing, as a folder that serves.

loadsheet train image --out my-emoji
loadsheet train image --out my-emoji --config examples/default-image-model/emoji.toml
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadsheet.adapt.art import default_art_folder
from loadsheet.adapt.image_config import TrainImageConfig
from loadsheet.adapt.toml_config import read_config
from loadsheet.adapt.train_image import ImageTask, train_image
from loadsheet.cli.asset_progress import asset_progress
from loadsheet.cli.run_flags import RUNS
from loadsheet.cli.stage_bars import StageBars
from loadsheet.engine.assets import ensure_assets
from loadsheet.track import StoredRun, read_run

ENCODER = "minilm-l6-v2"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the model")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a recipe in TOML")
    parser.add_argument(
        "--work", type=Path, metavar="FOLDER", help="checkpoints and caches (default: OUT-training)"
    )
    parser.add_argument(
        "--encoder", type=Path, metavar="FOLDER", help="the text encoder (default: MiniLM, fetched)"
    )
    parser.add_argument(
        "--art", type=Path, default=default_art_folder(), metavar="FOLDER", help="art archives"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="of the denoiser, not the recipe's")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER")
    parser.add_argument("--track", action="append", default=[], metavar="SINK", help="wandb")


def run(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    folder = train_image(
        ImageTask(
            config=recipe(arguments),
            encoder_folder=arguments.encoder or fetched_encoder(),
            work_folder=arguments.work or out.with_name(f"{out.name}-training"),
            out_folder=out,
            art_folder=arguments.art,
            runs_folder=arguments.runs,
            progress=StageBars(),
            sinks=tuple(arguments.track),
        )
    )
    show(read_run(folder), out)
    return 0


def recipe(arguments: argparse.Namespace) -> TrainImageConfig:
    """The file's, with what the flags say instead."""
    file: Path | None = arguments.config
    config = TrainImageConfig() if file is None else read_config(file, TrainImageConfig)
    if arguments.steps is not None:
        loop = replace(config.denoiser_loop, num_steps=arguments.steps)
        config = replace(config, denoiser_loop=loop)
    return config if arguments.seed is None else config.seeded(arguments.seed)


def fetched_encoder() -> Path:
    """MiniLM in the cache, fetched when it is not there yet."""
    with asset_progress(Console(stderr=True)) as on_progress:
        return ensure_assets([ENCODER], None, on_progress)[ENCODER]


def show(run: StoredRun, out: Path) -> None:
    """The finished run in one table."""
    rows = {
        "denoiser_parameters": "{:,.0f}",
        "autoencoder_parameters": "{:,.0f}",
        "shipped_bytes": "{:,.0f}",
        "psnr_db_held_out": "{:.2f}",
        "autoencoder_seconds": "{:,.1f}",
        "denoiser_seconds": "{:,.1f}",
        "decoder_seconds": "{:,.1f}",
        "samples": "{:,.0f}",
    }
    table = Table("", "", show_header=False, title=f"{run.name}: {out}")
    for key, form in rows.items():
        if key in run.summary:
            table.add_row(key.replace("_", " "), form.format(run.number(key)))
    Console(file=sys.stdout).print(table)
    sys.stdout.write(f"run: {run.folder}\n")
