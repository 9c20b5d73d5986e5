"""`loadsheet adapt text`: an encoder of the BERT family to a classification task.

loadsheet adapt text --method lora --out my-classifier
loadsheet adapt text --data reviews.csv --text-column review --label-column stars --method probe
loadsheet adapt text --config examples/scenario-2-adapt/configs/text.toml
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from loadsheet.adapt.bert_classifier import LoraSize
from loadsheet.adapt.observer import TrainingObserver
from loadsheet.adapt.sentiment import (
    REQUIREMENT,
    SentimentConfig,
    default_sentiment_folder,
    fetch_sentiment,
    read_sentiment,
)
from loadsheet.adapt.text_adaptation import (
    EncoderBase,
    TextAdaptationConfig,
    TextMethod,
    Workplace,
)
from loadsheet.adapt.text_run import TextRunPlan, run_adaptation
from loadsheet.adapt.text_split import TextSplit, split_texts
from loadsheet.adapt.text_states import OnBatch
from loadsheet.adapt.text_sweep import missing_runs, read_sweep
from loadsheet.adapt.text_table import TextColumns, read_table
from loadsheet.cli.asset_progress import asset_progress
from loadsheet.cli.training_progress import training_progress
from loadsheet.engine.assets import ensure_assets
from loadsheet.errors import ConfigError
from loadsheet.table import amount, table
from loadsheet.track import JSON

_DEFAULT = TextAdaptationConfig(method=TextMethod.PROBE)
_DEFAULT_BASE = "minilm-l6-v2"
_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the classifier here")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER")
    parser.add_argument("--track", action="append", default=[], metavar="SINK", help="wandb")
    parser.add_argument("--config", type=Path, metavar="FILE", help="many runs, from TOML")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    _add_data_flags(parser.add_argument_group("data"))
    _add_method_flags(parser.add_argument_group("method"))


def _add_data_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data", type=Path, metavar="FILE", help="your .csv or .jsonl")
    group.add_argument("--text-column", default="text", metavar="NAME")
    group.add_argument("--label-column", default="label", metavar="NAME")
    group.add_argument("--domain-column", metavar="NAME", help="to see the shift between domains")
    group.add_argument("--threshold", type=float, default=0.5, help="rating of the sentiment set")
    group.add_argument("--classes", type=int, default=2, help="of the sentiment set: 2 or 3")


def _add_method_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--method", choices=[str(one) for one in TextMethod], default="probe")
    group.add_argument("--base", metavar="FOLDER", help="an encoder in Hugging Face format")
    group.add_argument("--seed", type=int, default=_DEFAULT.seed)
    group.add_argument("--train-domain", default=_DEFAULT.train_domain, metavar="NAME")
    group.add_argument("--num-train", type=int, metavar="N", help="training texts; default all")
    group.add_argument("--max-tokens", type=int, default=_DEFAULT.max_tokens)
    group.add_argument("--epochs", type=int, default=_DEFAULT.epochs)
    group.add_argument("--batch-size", type=int, default=_DEFAULT.batch_size)
    group.add_argument("--min-steps", type=int, default=_DEFAULT.min_steps)
    group.add_argument("--learning-rate", type=float, metavar="LR", help="default by method")
    group.add_argument("--lora-rank", type=int, default=_DEFAULT.lora.rank)
    group.add_argument("--lora-alpha", type=int, default=_DEFAULT.lora.alpha)


def run(arguments: argparse.Namespace) -> int:
    configs = [_config(arguments)]
    if arguments.config is not None:
        if arguments.out is not None:
            raise ConfigError("--out keeps one classifier; it cannot go with --config")
        configs = read_sweep(arguments.config)
    split, data = _read_data(arguments)
    base = _find_base(arguments.base)
    summaries = []
    todo = configs
    with _progress() as (observer, on_batch):
        place = Workplace(
            states_folder=default_sentiment_folder(),
            device=arguments.device,
            observer=observer,
            on_batch=on_batch,
        )
        plan = TextRunPlan(
            split=split,
            data=data,
            base=base,
            place=place,
            runs_folder=arguments.runs,
            sinks=arguments.track,
        )
        if arguments.config is not None:
            todo = missing_runs(plan, configs)
        for config in todo:
            summaries.append(run_adaptation(plan, config, arguments.out))
    _print_summaries(summaries, num_known=len(configs) - len(todo))
    return 0


def _config(arguments: argparse.Namespace) -> TextAdaptationConfig:
    return TextAdaptationConfig(
        method=TextMethod(arguments.method),
        seed=arguments.seed,
        train_domain=arguments.train_domain,
        num_train=arguments.num_train,
        max_tokens=arguments.max_tokens,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        min_steps=arguments.min_steps,
        learning_rate=arguments.learning_rate,
        lora=LoraSize(rank=arguments.lora_rank, alpha=arguments.lora_alpha),
    )


def _read_data(arguments: argparse.Namespace) -> tuple[TextSplit, dict[str, JSON]]:
    """The split, and what the stored run says about its source."""
    source: dict[str, JSON]
    if arguments.data is not None:
        columns = TextColumns(
            text=arguments.text_column,
            label=arguments.label_column,
            domain=arguments.domain_column,
        )
        labelled = read_table(arguments.data, columns)
        source = {"file": arguments.data.name, **asdict(columns)}
    else:
        config = SentimentConfig(threshold=arguments.threshold, num_classes=arguments.classes)
        labelled = read_sentiment(fetch_sentiment(default_sentiment_folder()), config)
        source = {"package": REQUIREMENT, **asdict(config)}
    split = split_texts(labelled)
    counts: dict[str, JSON] = {
        "num_train": len(split.train.rows),
        "num_validation": len(split.validation.rows),
        "num_test": len(split.test.rows),
        "num_dropped": split.num_dropped,
    }
    return split, source | counts


def _find_base(folder: str | None) -> EncoderBase:
    if folder is not None:
        path = Path(folder).expanduser()
        if not path.is_dir():
            raise ConfigError(f"there is no folder {path}; give --base an encoder's folder")
        return EncoderBase(folder=path, name=str(path.resolve()), hub_name=path.resolve().name)
    with asset_progress(Console(stderr=True)) as on_progress:
        path = ensure_assets([_DEFAULT_BASE], None, on_progress)[_DEFAULT_BASE]
    return EncoderBase(folder=path, name=_DEFAULT_BASE, hub_name=_HUB_NAME)


@contextmanager
def _progress() -> Iterator[tuple[TrainingObserver, OnBatch]]:
    with training_progress("training") as observer:
        yield observer, _EncodingProgress(Console(stderr=True))


class _EncodingProgress:
    """A line per tenth of the texts: encoding them for a probe has no loss to show."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tenth = 0

    def __call__(self, num_done: int, num_texts: int) -> None:
        tenth = 10 * num_done // num_texts
        if tenth != self._tenth and num_texts > 1000:
            self._console.print(f"encoded {num_done} of {num_texts} texts", highlight=False)
        self._tenth = tenth


def _print_summaries(summaries: list[dict[str, JSON]], num_known: int) -> None:
    if num_known:
        print(f"{num_known} runs were stored already")
    if not summaries:
        return
    headers = (
        "method", "train on", "texts", "seed", "accuracy", "macro F1", "ECE",
        "learnt", "to ship", "peak", "seconds", "ms/text",
    )  # fmt: skip
    rows = [
        [
            str(one["method"]),
            str(one["train_domain"]),
            str(one["num_train_examples"]),
            str(one["seed"]),
            *[f"{_number(one, name):.3f}" for name in ("accuracy", "macro_f1", "ece")],
            amount(_number(one, "trainable_parameters")),
            amount(_number(one, "shipped_bytes"), "B"),
            amount(_number(one, "peak_memory_bytes"), "B"),
            f"{_number(one, 'seconds'):.1f}",
            f"{_number(one, 'ms_per_example'):.2f}",
        ]
        for one in summaries
    ]
    print(table(headers, rows))


def _number(summary: dict[str, JSON], name: str) -> float:
    value = summary[name]
    assert isinstance(value, int | float)
    return float(value)
