"""The decoder from nothing: tokenizer, training, measurements and samples on the way, a folder.

A stopped training goes on where its last checkpoint is: everything between lies in
`<out>/training`, and the tracked run is continued too.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loadsheet.adapt.loop import CHECKPOINT_NAME, Trainer, learning_rate
from loadsheet.adapt.observer import Observers, RunLog, TrainingObserver
from loadsheet.adapt.text_config import TrainTextConfig
from loadsheet.adapt.text_curve import write_curve
from loadsheet.adapt.text_evaluation import TextScore, score
from loadsheet.adapt.text_folder import write_text_model
from loadsheet.adapt.text_model import TextModel
from loadsheet.adapt.text_tokens import TokenisedCorpus, check_length, open_tokens
from loadsheet.engine.text.generate import generate
from loadsheet.errors import ConfigError
from loadsheet.runtime.payload import Sampling
from loadsheet.track import JSON, Run, read_run, resume_run, start_run

logger = logging.getLogger(__name__)

COMMAND = "train text"
SAMPLES_NAME = "samples.jsonl"
CURVE_NAME = "curve.svg"
_LOSS_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTask:
    """Where a training reads, writes and is tracked. `observer` hears of every step."""

    config: TrainTextConfig
    out_folder: Path
    corpus_folder: Path
    runs_folder: Path
    observer: TrainingObserver
    sinks: Sequence[str] = ()

    @property
    def work_folder(self) -> Path:
        return self.out_folder / "training"


def train_text(task: TextTask) -> Path:
    """Train to the end, write the model folder; returns the folder of the tracked run."""
    config = task.config
    check_same_recipe(task)
    files = [Path(name) for name in config.files]
    corpus = open_tokens(files, config.vocab_size, task.corpus_folder, task.work_folder)
    check_length(corpus, config.context_tokens)
    with open_run(task) as run:
        trainer = make_trainer(config, corpus, Observers(task.observer, run_log(run, config)))
        trainer.restore(task.work_folder)
        for step in measured_steps(config, trainer.step):
            trainer.run(until=step)
            trainer.save(task.work_folder)
            measure(run, trainer, config, corpus)
        model = averaged(trainer)
        write_text_model(task.out_folder, model, corpus.tokenizer)
        run.summary(summary(trainer, config, corpus))
        curve = run.folder / "artifacts" / CURVE_NAME
        write_curve(read_run(run.folder), config.tokens_per_step, curve)
    return run.folder


def make_trainer(
    config: TrainTextConfig, corpus: TokenisedCorpus, observer: TrainingObserver
) -> Trainer:
    torch.manual_seed(config.loop.seed)
    shape = config.model.config(corpus.tokenizer.get_vocab_size(), config.context_tokens)

    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        del step  # batches differ by the generator alone
        batch = corpus.batch(config.batch_size, config.context_tokens, generator)
        return next_token_loss(module, batch)

    return Trainer(TextModel(shape), loss, config.loop, observer=observer)


def next_token_loss(module: nn.Module, ids_BT1: Tensor) -> Tensor:
    """Mean nats of each token after the first, given those before it in its row."""
    logits_NV, targets_N = module(ids_BT1[:, :-1]), ids_BT1[:, 1:].flatten()
    # a few rows at a time stay in the cache: 15 ms, not 72, for 2,048 rows of 4,096 logits
    nats = [
        F.cross_entropy(rows.float(), targets, reduction="sum")
        for rows, targets in zip(
            logits_NV.split(_LOSS_ROWS), targets_N.split(_LOSS_ROWS), strict=True
        )
    ]
    return torch.stack(nats).sum() / len(targets_N)


def measured_steps(config: TrainTextConfig, done: int) -> list[int]:
    """Steps after `done` at which to stop and measure; the last one is always among them."""
    marks = range(config.measure_every, config.loop.num_steps, config.measure_every)
    return [step for step in (*marks, config.loop.num_steps) if step > done]


def measure(run: Run, trainer: Trainer, config: TrainTextConfig, corpus: TokenisedCorpus) -> None:
    """Bits per byte on a part of what is held out, and a sample after each prompt."""
    model = averaged(trainer)
    scores = [
        score(model, held_out, config.context_tokens, config.measure_windows)
        for held_out in corpus.held_out
    ]
    metrics = {f"bits_per_byte.{one.source}": one.bits_per_byte for one in scores}
    metrics["tokens"] = trainer.step * config.tokens_per_step
    metrics["tokens_per_s"] = metrics["tokens"] / trainer.seconds
    run.log(trainer.step, metrics)
    path = run.folder / "artifacts" / SAMPLES_NAME
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for prompt in config.prompts:
            text = continuation(model, corpus, prompt, config.sample_tokens)
            line = {"step": trainer.step, "prompt": prompt, "text": text}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def continuation(model: TextModel, corpus: TokenisedCorpus, prompt: str, num_tokens: int) -> str:
    """Drawn at temperature 0.7 by the engine's own plain loop, up to the end of the text."""
    tokenizer = corpus.tokenizer
    prompt_ids = tokenizer.encode(prompt.rstrip()).ids
    drawn = generate(
        model.decoder(),
        prompt_ids,
        max_output_tokens=min(num_tokens, model.config.max_context_tokens - len(prompt_ids)),
        sampling=Sampling(temperature=0.7, top_p=0.95, seed=0),
        eos_ids={prompt_ids[0]},
    )
    text: str = tokenizer.decode(list(drawn))
    return text


def summary(trainer: Trainer, config: TrainTextConfig, corpus: TokenisedCorpus) -> dict[str, JSON]:
    """What a reader or a scaling-law fit asks of the finished run."""
    model = averaged(trainer)
    scores = [score(model, held_out, config.context_tokens) for held_out in corpus.held_out]
    num_tokens = trainer.step * config.tokens_per_step
    return {
        "parameters": model.num_parameters(),
        "tokens": num_tokens,
        "epochs": num_tokens / len(corpus.train_ids),
        "steps": trainer.step,
        "seconds": trainer.seconds,
        "tokens_per_s": num_tokens / trainer.seconds,
        "loss_nats_per_token": _mean(scores, [one.nats_per_token for one in scores]),
        "bits_per_byte": total_bits_per_byte(scores, corpus),
        "bits_per_byte_by_source": {one.source: one.bits_per_byte for one in scores},
        "held_out_tokens": sum(one.num_tokens for one in scores),
        "corpus_train_bytes": corpus.train_bytes,
        "corpus_train_tokens": len(corpus.train_ids),
    }


def total_bits_per_byte(scores: Sequence[TextScore], corpus: TokenisedCorpus) -> float:
    """Over all sources, each weighing as its bytes."""
    sizes = {one.source: one.num_bytes for one in corpus.held_out}
    bits = sum(one.bits_per_byte * sizes[one.source] for one in scores)
    return bits / sum(sizes.values())


def averaged(trainer: Trainer) -> TextModel:
    """The running average of the weights: what is measured, sampled and written."""
    assert isinstance(trainer.average, TextModel)
    return trainer.average


def open_run(task: TextTask) -> Run:
    """A new tracked run, or the one that a stopped training of this folder began."""
    note = task.work_folder / "run.txt"
    if note.exists() and (task.work_folder / CHECKPOINT_NAME).exists():
        folder = Path(note.read_text(encoding="utf-8"))
        if folder.is_dir():
            return resume_run(folder, sinks=task.sinks)
    run = start_run(
        task.runs_folder,
        command=COMMAND,
        name=task.config.name,
        config=recipe(task.config),
        sinks=task.sinks,
    )
    note.write_text(str(run.folder.resolve()), encoding="utf-8")
    return run


def check_same_recipe(task: TextTask) -> None:
    """A folder is trained by one recipe; another one must not continue its checkpoint."""
    path, wanted = task.work_folder / "recipe.json", recipe(task.config)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(wanted), encoding="utf-8")
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    changed = [key for key, value in json.loads(json.dumps(wanted)).items() if stored[key] != value]
    if changed:
        raise ConfigError(
            f"{task.out_folder} was trained with another {', '.join(changed)}; give a new --out or "
            f"delete {task.work_folder}"
        )


def recipe(config: TrainTextConfig) -> Mapping[str, JSON]:
    return asdict(config)


def run_log(run: Run, config: TrainTextConfig) -> RunLog:
    return RunLog(run, more=lambda step: {"learning_rate": learning_rate(step - 1, config.loop)})


def _mean(scores: Sequence[TextScore], values: Sequence[float]) -> float:
    weights = [one.num_tokens for one in scores]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
