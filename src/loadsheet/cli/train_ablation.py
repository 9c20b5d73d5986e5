"""`loadsheet train ablation STUDY`: one choice of the decoder at a time, measured.

loadsheet train ablation kv-cache
loadsheet train ablation attention
loadsheet train ablation mixers
loadsheet train ablation jax --model FOLDER
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, replace
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from loadsheet.adapt.ablation_attention import AttentionConfig, study_attention
from loadsheet.adapt.ablation_kv_cache import KvCacheConfig, study_kv_cache
from loadsheet.adapt.ablation_mixers import MixersConfig, study_mixers
from loadsheet.adapt.study import StudyPlace, StudyTable
from loadsheet.adapt.text_corpus import default_corpus_folder
from loadsheet.adapt.toml_config import read_config
from loadsheet.cli.run_flags import add_tracking_flags
from loadsheet.cli.training_progress import training_progress
from loadsheet.errors import ConfigError
from loadsheet.track import JSON, start_run

COMMAND = "train ablation"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", choices=tuple(STUDIES), metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument("--config", type=Path, metavar="FILE", help="sizes in TOML")
    parser.add_argument("--model", default="", metavar="FOLDER", help="jax: the decoder to compare")
    parser.add_argument(
        "--corpus", type=Path, nargs="+", metavar="FILE", help="mixers: instead of the default text"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=default_corpus_folder(),
        metavar="FOLDER",
        help="where fetched and tokenised text is kept",
    )
    add_tracking_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.model and arguments.study != "jax":
        raise ConfigError(f"--model is for jax; {arguments.study} makes its own models")
    if arguments.corpus and arguments.study != "mixers":
        raise ConfigError(f"--corpus is for mixers; {arguments.study} reads no text")
    return STUDIES[arguments.study](arguments)


def _kv_cache(arguments: argparse.Namespace) -> int:
    return conduct(arguments, _read(arguments, KvCacheConfig), study_kv_cache)


def _attention(arguments: argparse.Namespace) -> int:
    return conduct(arguments, _read(arguments, AttentionConfig), study_attention)


def _mixers(arguments: argparse.Namespace) -> int:
    config = _read(arguments, MixersConfig)
    if arguments.corpus is not None:
        config = replace(config, files=tuple(map(str, arguments.corpus)))
    return conduct(arguments, config, study_mixers)


def _jax(arguments: argparse.Namespace) -> int:
    try:  # optional back end: the extra `jax`
        from loadsheet.adapt.ablation_jax import JaxConfig, study_jax
    except ModuleNotFoundError as error:
        raise ConfigError("this study needs jax: pip install 'loadsheet[jax]'") from error
    config = _read(arguments, JaxConfig)
    return conduct(arguments, replace(config, folder=arguments.model or config.folder), study_jax)


STUDIES: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "kv-cache": _kv_cache,
    "attention": _attention,
    "mixers": _mixers,
    "jax": _jax,
}


class StudyConfig(Protocol):
    """Each study's own class; its name becomes part of the run's id."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    @property
    def name(self) -> str: ...


Config = TypeVar("Config", bound=StudyConfig)


def _read(arguments: argparse.Namespace, kind: type[Config]) -> Config:
    return kind() if arguments.config is None else read_config(arguments.config, kind)


def conduct(
    arguments: argparse.Namespace,
    config: Config,
    study: Callable[[Config, StudyPlace], StudyTable],
) -> int:
    """One study as one tracked run; its table goes to stdout."""
    recipe: dict[str, JSON] = asdict(config) | {"seed": arguments.seed}
    with (
        start_run(
            arguments.runs, command=COMMAND, name=config.name, config=recipe, sinks=arguments.track
        ) as tracked,
        training_progress(config.name) as observer,
    ):
        place = StudyPlace(
            run=tracked,
            observer=observer,
            corpus_folder=arguments.work,
            work_folder=arguments.work,
            seed=arguments.seed,
        )
        found = study(config, place)
    show(config.name, found)
    sys.stdout.write(f"run: {tracked.folder}\n")
    return 0


def show(title: str, found: StudyTable) -> None:
    table = Table(title=title)
    for idx, column in enumerate(found.columns):
        table.add_column(column, justify="right" if idx else "left")
    for row in found.rows:
        table.add_row(*row)
    Console(file=sys.stdout).print(table)
