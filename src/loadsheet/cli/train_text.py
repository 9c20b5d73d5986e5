"""`loadsheet train text`: a decoder from nothing, as a folder that generates and serves."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadsheet.adapt.text_config import TrainTextConfig
from loadsheet.adapt.text_corpus import default_corpus_folder
from loadsheet.adapt.toml_config import read_config
from loadsheet.adapt.train_text import TextTask, train_text
from loadsheet.cli.training_progress import training_progress
from loadsheet.track import StoredRun, read_run


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the model")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a recipe in TOML")
    parser.add_argument(
        "--corpus",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="UTF-8 text; default: WordNet glosses and Brown, fetched by npm",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="instead of the recipe's")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER")
    parser.add_argument("--track", action="append", default=[], metavar="SINK", help="wandb")
    parser.add_argument(
        "--corpus-cache", type=Path, default=default_corpus_folder(), metavar="FOLDER"
    )


def run(arguments: argparse.Namespace) -> int:
    config = recipe(arguments)
    with training_progress(f"train {config.name}") as observer:
        folder = train_text(
            TextTask(
                config=config,
                out_folder=arguments.out,
                corpus_folder=arguments.corpus_cache,
                runs_folder=arguments.runs,
                observer=observer,
                sinks=tuple(arguments.track),
            )
        )
    show(read_run(folder), arguments.out)
    return 0


def recipe(arguments: argparse.Namespace) -> TrainTextConfig:
    """The file's, with what the flags say instead."""
    if arguments.config is None:
        config = TrainTextConfig()
    else:
        config = read_config(arguments.config, TrainTextConfig)
    loop = config.loop
    if arguments.steps is not None:
        loop = replace(loop, num_steps=arguments.steps)
    if arguments.seed is not None:
        loop = replace(loop, seed=arguments.seed)
    files = config.files if arguments.corpus is None else tuple(map(str, arguments.corpus))
    return replace(config, loop=loop, files=files)


def show(run: StoredRun, out: Path) -> None:
    """The finished run in one table."""
    table = Table("", "", show_header=False, title=f"{run.name}: {out}")
    rows = {
        "parameters": "{:,.0f}",
        "tokens": "{:,.0f}",
        "epochs": "{:.2f}",
        "seconds": "{:,.1f}",
        "tokens_per_s": "{:,.0f}",
        "loss_nats_per_token": "{:.4f}",
        "bits_per_byte": "{:.4f}",
    }
    for key, form in rows.items():
        table.add_row(key.replace("_", " "), form.format(run.number(key)))
    Console(file=sys.stdout).print(table)
    sys.stdout.write(f"run: {run.folder}\n")
