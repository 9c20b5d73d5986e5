"""`loadsheet adapt image`: a diffusion model to a new style, or to your pictures.

loadsheet adapt image --style fluent-emoji-high-contrast --method lora-r4-attention-conv
loadsheet adapt image --base sd15-folder --data my-pictures --method lora-r16-attention --out lora
loadsheet adapt image --config examples/scenario-2-adapt/configs/image.toml
"""

import argparse
from dataclasses import replace
from pathlib import Path

from platformdirs import user_cache_dir
from rich.console import Console

from loadsheet.adapt.adaptation_method import METHODS, parse_method
from loadsheet.adapt.art import default_art_folder
from loadsheet.adapt.captioned_images import read_captioned_images
from loadsheet.adapt.image_adaptation import Base, ImageAdaptationConfig
from loadsheet.adapt.image_run import ImageRunPlan, run_pictures, run_style
from loadsheet.adapt.image_sweep import StyleRun, missing_runs, read_sweep
from loadsheet.adapt.style_art import TARGET_STYLES
from loadsheet.adapt.style_scores import ScoreConfig
from loadsheet.cli.asset_progress import asset_progress
from loadsheet.cli.run_flags import add_tracking_flags
from loadsheet.cli.training_progress import training_progress
from loadsheet.engine.assets import DEFAULT_IMAGE_MODEL, ModelKind, resolve_model
from loadsheet.errors import ConfigError
from loadsheet.table import table
from loadsheet.track import JSON
from loadsheet.units import format_bytes

_DEFAULT = ImageAdaptationConfig(method=parse_method("lora-r4-attention-conv"))


def add_flags(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what is learnt")
    what.add_argument("--style", metavar="STYLE", help=" or ".join(TARGET_STYLES))
    what.add_argument("--data", type=Path, metavar="FOLDER", help="your captioned pictures")
    what.add_argument(
        "--base", default=DEFAULT_IMAGE_MODEL, metavar="MODEL", help="name, folder or hub id"
    )
    how = parser.add_argument_group("method")
    how.add_argument("--method", default=_DEFAULT.method.name, help=", ".join(METHODS))
    how.add_argument("--steps", type=int, default=_DEFAULT.num_steps, metavar="N")
    how.add_argument("--batch-size", type=int, default=_DEFAULT.batch_size, metavar="N")
    how.add_argument("--learning-rate", type=float, metavar="LR", help="default by method")
    how.add_argument("--config", type=Path, metavar="FILE", help="many runs of styles, from TOML")
    how.add_argument("--device", default="auto", help="auto, cpu or cuda")
    how.add_argument(
        "--pictures", type=int, metavar="N", help="pictures judged of seen concepts and of others"
    )
    where = parser.add_argument_group("where")
    where.add_argument("--out", type=Path, metavar="FOLDER", help="default: in the run's folder")
    where.add_argument("--art", type=Path, default=default_art_folder(), metavar="FOLDER")
    where.add_argument(
        "--cache",
        type=Path,
        default=Path(user_cache_dir("loadsheet")) / "adapt",
        metavar="FOLDER",
        help="drawn art, latents and judges",
    )
    add_tracking_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    base = _find_base(arguments)
    with training_progress("adapting") as observer:
        plan = ImageRunPlan(
            base=base,
            art_folder=arguments.art,
            cache_folder=arguments.cache,
            runs_folder=arguments.runs,
            sinks=arguments.track,
            scores=_scores(arguments.pictures),
            observer=observer,
        )
        if arguments.data is not None:
            return _learn_pictures(arguments, plan)
        summaries = [
            run_style(plan, one.style, one.config, arguments.out)
            for one in _style_runs(arguments, plan)
        ]
    _print_styles(summaries)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    given = [flag for flag in ("style", "data", "config") if getattr(arguments, flag) is not None]
    if len(given) != 1:
        raise ConfigError("give one of --style STYLE, --data FOLDER and --config FILE")
    if arguments.data is not None and arguments.out is None:
        raise ConfigError("--data needs --out FOLDER, where the adapter goes")
    if arguments.config is not None and arguments.out is not None:
        raise ConfigError("--out keeps one result; it cannot go with --config")
    if arguments.style is not None and arguments.base != DEFAULT_IMAGE_MODEL:
        raise ConfigError(
            f"--style is judged against what {DEFAULT_IMAGE_MODEL} draws; another --base goes "
            "with --data"
        )
    for flag, value in (("--steps", arguments.steps), ("--batch-size", arguments.batch_size)):
        if value < 1:
            raise ConfigError(f"{flag} is {value}; give 1 or more")
    rate = arguments.learning_rate
    if rate is not None and not 0 < rate <= 1:
        raise ConfigError(f"--learning-rate is {rate}; give more than 0, at most 1")


def _scores(num_pictures: int | None) -> ScoreConfig:
    default = ScoreConfig()
    if num_pictures is None:
        return default
    if num_pictures < 2:
        raise ConfigError(f"--pictures is {num_pictures}; a spread needs 2 or more")
    return replace(
        default,
        num_seen=num_pictures,
        num_held_out=num_pictures,
        num_diverse=min(default.num_diverse, num_pictures),
        num_at_each=min(default.num_at_each, num_pictures),
    )


def _find_base(arguments: argparse.Namespace) -> Base:
    with asset_progress(Console(stderr=True)) as on_progress:
        model = resolve_model(arguments.base, None, on_progress)
    if model.kind is not ModelKind.IMAGE:
        raise ConfigError(
            f"--base is {arguments.base}, a model for {model.kind}; give one for images"
        )
    return Base(folder=model.path, name=model.name, device=arguments.device)


def _config(arguments: argparse.Namespace) -> ImageAdaptationConfig:
    return ImageAdaptationConfig(
        method=parse_method(arguments.method),
        seed=arguments.seed,
        num_steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
    )


def _style_runs(arguments: argparse.Namespace, plan: ImageRunPlan) -> list[StyleRun]:
    if arguments.config is None:
        return [StyleRun(style=arguments.style, config=_config(arguments))]
    return missing_runs(plan, read_sweep(arguments.config))


def _learn_pictures(arguments: argparse.Namespace, plan: ImageRunPlan) -> int:
    size = plan.base.open("fp32").sizes[0]
    pictures = read_captioned_images(arguments.data, size)
    name = arguments.data.resolve().name
    summary = run_pictures(plan, name, pictures, _config(arguments), arguments.out)
    shipped = format_bytes(int(str(summary["shipped_bytes"])))
    print(
        f"{arguments.out}: {summary['num_pictures']} pictures, {summary['num_steps']} steps, "
        f"{shipped}; loss on "
        f"{'held-out' if summary['num_held_out'] else 'the same'} pictures "
        f"{summary['held_out_loss_before']:.4f} -> {summary['held_out_loss_after']:.4f}"
    )
    print(
        f"serve it: loadsheet serve --image {arguments.base} --image-adapter NAME={arguments.out}"
    )
    return 0


def _print_styles(summaries: list[dict[str, JSON]]) -> None:
    if not summaries:
        print("every run of the file is stored already")
        return
    headers = (
        "style", "method", "style score", "held out", "concept", "held out", "FID-like",
        "diversity", "forgetting", "trained", "to ship", "seconds",
    )  # fmt: skip
    rows = [
        [
            str(one["style"]),
            str(one["method"]),
            *(f"{one[key]:.0%}" for key in _SHARES),
            f"{one['fid_like']:.3g}",
            f"{one['diversity']:.3g}",
            f"{one['base_forgetting']:+.1%}",
            f"{one['trainable_parameters']:,}",
            format_bytes(int(str(one["shipped_bytes"]))),
            f"{one['seconds']:.0f}",
        ]
        for one in summaries
    ]
    print(table(headers, rows))
    for one in summaries:
        print(f"{one['method']}: {one['folder']}")


_SHARES = (
    "style_score",
    "style_score_held_out",
    "concept_accuracy",
    "concept_accuracy_held_out",
)
