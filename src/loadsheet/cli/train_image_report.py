"""`loadsheet train image-report`: an image model judged, and compared with what it learnt from.

loadsheet train image-report --model my-emoji
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadsheet.adapt.art import default_art_folder
from loadsheet.adapt.image_report import ReportConfig, ReportTask, image_report
from loadsheet.cli.asset_progress import asset_progress
from loadsheet.cli.run_flags import RUNS
from loadsheet.cli.stage_bars import StageBars
from loadsheet.cli.train_image import fetched_encoder
from loadsheet.engine.assets import DEFAULT_IMAGE_MODEL, ensure_assets
from loadsheet.track import StoredRun, read_run

JUDGES, GROUPS, TOPS = ("drawings", "strangers"), ("common", "rare"), ("top1", "top5")
_DEFAULT = ReportConfig()


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="default: the one that ships")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("image-report"),
        metavar="FOLDER",
        help="the drawn art and the judges, made once (default: image-report)",
    )
    parser.add_argument(
        "--encoder", type=Path, metavar="FOLDER", help="the text encoder (default: MiniLM, fetched)"
    )
    parser.add_argument(
        "--art", type=Path, default=default_art_folder(), metavar="FOLDER", help="art archives"
    )
    parser.add_argument("--common", type=int, metavar="N", help="everyday concepts (default: all)")
    parser.add_argument("--rare", type=int, default=_DEFAULT.num_rare, metavar="N")
    parser.add_argument("--seeds", type=int, default=_DEFAULT.num_seeds, metavar="N")
    parser.add_argument("--judge-steps", type=int, default=_DEFAULT.judge_steps, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER")
    parser.add_argument("--track", action="append", default=[], metavar="SINK", help="wandb")


def run(arguments: argparse.Namespace) -> int:
    config = ReportConfig(
        num_common=arguments.common,
        num_rare=arguments.rare,
        num_seeds=arguments.seeds,
        judge_steps=arguments.judge_steps,
        seed=arguments.seed,
    )
    folder = image_report(
        ReportTask(
            config=config,
            model_folder=arguments.model or shipped_model(),
            encoder_folder=arguments.encoder or fetched_encoder(),
            work_folder=arguments.work,
            art_folder=arguments.art,
            runs_folder=arguments.runs,
            progress=StageBars(),
            sinks=tuple(arguments.track),
        )
    )
    show(read_run(folder))
    return 0


def shipped_model() -> Path:
    """The default image model in the cache, installed when it is not there yet."""
    with asset_progress(Console(stderr=True)) as on_progress:
        return ensure_assets([DEFAULT_IMAGE_MODEL], None, on_progress)[DEFAULT_IMAGE_MODEL]


def show(run: StoredRun) -> None:
    """Marks and neighbours as tables; everything else is in the run's summary."""
    console = Console(file=sys.stdout)
    console.print(marks_table(run))
    console.print(neighbours_table(run))
    sys.stdout.write(f"run: {run.folder}\n")


def marks_table(run: StoredRun) -> Table:
    """A row per judge and group of concepts; shares of pictures, real ones beside drawn ones."""
    table = _table(
        "named correctly by a judge that learnt from real icons",
        ("judge", "concepts"),
        ("real top-1", "real top-5", "drawn top-1", "drawn top-5", "Frechet"),
    )
    for judge in JUDGES:
        for group in GROUPS:
            place = f"{judge}.{group}"
            keys = [f"{place}.{what}.{k}" for what in ("real", "generated") for k in TOPS]
            distance = _number(run, f"{place}.frechet", "{:.1f}")
            table.add_row(judge, group, *[_number(run, key, "{:.1%}") for key in keys], distance)
    return table


def neighbours_table(run: StoredRun) -> Table:
    """A row per set of pictures."""
    table = _table(
        "nearest picture of the training set",
        ("pictures",),
        ("median RMSE of 255", "5 % below", "median cosine", "same concept"),
    )
    sets = [f"{group}.{what}" for group in GROUPS for what in ("real", "generated")]
    forms = {"rmse": "{:.1f}", "rmse_5_percent": "{:.1f}", "cosine": "{:.3f}"}
    forms["same_concept"] = "{:.1%}"
    for name in (*sets, "another_concept"):
        place = f"neighbours.{name}"
        cells = [_number(run, f"{place}.{key}", form) for key, form in forms.items()]
        table.add_row(name.replace(".", ", ").replace("_", " "), *cells)
    return table


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title)
    for header in left:
        table.add_column(header)
    for header in right:
        table.add_column(header, justify="right")
    return table


def _number(run: StoredRun, key: str, form: str) -> str:
    """Or "–" for what was not measured."""
    value = run.number(key)
    return "–" if value is None else form.format(value)
