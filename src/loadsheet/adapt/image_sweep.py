"""Many adaptations to styles from one TOML file; what is stored already is not run again.

[[runs]]
styles = ["fluent-emoji-high-contrast"]
methods = ["lora-r4-attention", "full"]
seeds = [0]
num_steps = 400
batch_size = 16
"""

import itertools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadsheet.adapt.adaptation_method import parse_method
from loadsheet.adapt.image_adaptation import ImageAdaptationConfig
from loadsheet.adapt.image_run import COMMAND, ImageRunPlan, style_record
from loadsheet.adapt.style_art import TARGET_STYLES, find_style
from loadsheet.errors import ConfigError
from loadsheet.settings import Table
from loadsheet.track import read_runs

_DEFAULT = ImageAdaptationConfig(method=parse_method("full"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleRun:
    """One adaptation to one style."""

    style: str
    config: ImageAdaptationConfig


def read_sweep(path: Path) -> list[StyleRun]:
    """Every combination of the lists of each table, in the order of the file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    root = Table(document, str(path))
    tables = root.children("runs")
    root.finish()
    return [run for table in tables for run in _runs(table)]


def missing_runs(plan: ImageRunPlan, runs: Sequence[StyleRun]) -> list[StyleRun]:
    """Those without a finished run of the same settings in the runs folder."""
    if not plan.runs_folder.is_dir():
        return list(runs)
    done = [
        dict(run.config)
        for run in read_runs(plan.runs_folder)
        if run.command == COMMAND and run.status == "finished"
    ]
    return [run for run in runs if style_record(plan, run.style, run.config) not in done]


def _runs(table: Table) -> list[StyleRun]:
    styles = [find_style(name).key for name in (table.texts("styles") or list(TARGET_STYLES))]
    methods = [parse_method(name) for name in (table.texts("methods") or [_DEFAULT.method.name])]
    seeds = table.integers("seeds") or [_DEFAULT.seed]
    num_steps = table.integer("num_steps", _DEFAULT.num_steps)
    batch_size = table.integer("batch_size", _DEFAULT.batch_size)
    learning_rate = table.optional_number("learning_rate")
    table.finish()
    return [
        StyleRun(
            style=style,
            config=ImageAdaptationConfig(
                method=method,
                seed=seed,
                num_steps=num_steps,
                batch_size=batch_size,
                learning_rate=learning_rate,
            ),
        )
        for style, method, seed in itertools.product(styles, methods, seeds)
    ]
