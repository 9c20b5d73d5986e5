"""Many adaptations from one TOML file; what is stored already is not run again.

[[runs]]
methods = ["lora", "full"]
seeds = [0, 1, 2]
train_domains = ["all"]
num_train = [4000]              # 0: all there are
epochs = 2
"""

import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path

from loadsheet.adapt.bert_classifier import LoraSize
from loadsheet.adapt.text_adaptation import TextAdaptationConfig, TextMethod
from loadsheet.adapt.text_run import COMMAND, TextRunPlan, run_config
from loadsheet.errors import ConfigError
from loadsheet.settings import Table
from loadsheet.track import read_runs

_DEFAULT = TextAdaptationConfig(method=TextMethod.PROBE)


def read_sweep(path: Path) -> list[TextAdaptationConfig]:
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
    return [config for table in tables for config in _configs(table)]


def missing_runs(
    plan: TextRunPlan, configs: Sequence[TextAdaptationConfig]
) -> list[TextAdaptationConfig]:
    """Those without a finished run of the same settings in the runs folder."""
    if not plan.runs_folder.is_dir():
        return list(configs)
    done = [
        dict(run.config)
        for run in read_runs(plan.runs_folder)
        if run.command == COMMAND and run.status == "finished"
    ]
    return [config for config in configs if run_config(plan, config) not in done]


def _configs(table: Table) -> list[TextAdaptationConfig]:
    methods = [_method(table, name) for name in (table.texts("methods") or ["probe"])]
    seeds = table.integers("seeds") or [0]
    domains = table.texts("train_domains") or ["all"]
    sizes = [size or None for size in (table.integers("num_train") or [0])]
    epochs = table.integer("epochs", _DEFAULT.epochs)
    max_tokens = table.integer("max_tokens", _DEFAULT.max_tokens)
    batch_size = table.integer("batch_size", _DEFAULT.batch_size)
    min_steps = table.integer("min_steps", _DEFAULT.min_steps)
    learning_rate = table.optional_number("learning_rate")
    rank = table.integer("lora_rank", _DEFAULT.lora.rank)
    lora = LoraSize(rank=rank, alpha=table.integer("lora_alpha", 2 * rank))
    table.finish()
    return [
        TextAdaptationConfig(
            method=method,
            seed=seed,
            train_domain=domain,
            num_train=size,
            epochs=epochs,
            max_tokens=max_tokens,
            batch_size=batch_size,
            min_steps=min_steps,
            learning_rate=learning_rate,
            lora=lora,
        )
        for method, domain, size, seed in itertools.product(methods, domains, sizes, seeds)
    ]


def _method(table: Table, name: str) -> TextMethod:
    if name not in list(TextMethod):
        raise table.wrong("methods", f"some of {', '.join(TextMethod)}")
    return TextMethod(name)
