"""Attention, linear attention and an LSTM learn the same text: loss against tokens and seconds."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from loadsheet.adapt.chart import Panel, Points, write_chart
from loadsheet.adapt.loop import LoopConfig, Trainer
from loadsheet.adapt.mixers import ContextCost, build_mixers, measure_contexts, num_parameters
from loadsheet.adapt.study import StudyPlace, StudyTable
from loadsheet.adapt.text_config import DecoderShape
from loadsheet.adapt.text_evaluation import score
from loadsheet.adapt.text_tokens import TokenisedCorpus, check_length, open_tokens
from loadsheet.adapt.train_text import next_token_loss, total_bits_per_byte
from loadsheet.units import format_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class MixersConfig:
    """`files` empty is WordNet and Brown; `contexts` are those whose step times are measured."""

    name: str = "mixers"
    files: tuple[str, ...] = ()
    vocab_size: int = 4096
    context_tokens: int = 256
    batch_size: int = 8
    measure_windows: int = 64
    model: DecoderShape = DecoderShape(
        hidden_size=192, ffn_size=512, num_layers=4, num_heads=3, num_kv_heads=3
    )
    loop: LoopConfig = field(
        default=LoopConfig(
            num_steps=250,
            learning_rate=2e-3,
            warmup_steps=30,
            betas=(0.9, 0.95),
            weight_decay=0.05,
            ema_decay=None,
        )
    )
    contexts: tuple[int, ...] = (64, 256, 1024, 4096)


class _Curve:
    """Loss of one training, a mean of ten steps at a time, and the CPU seconds so far.

    CPU time of this process, so that a busy machine slows no mixer down; measure with one thread.
    """

    every = 10

    def __init__(self, name: str, place: StudyPlace) -> None:
        self._name, self._place = name, place
        self._losses: list[float] = []
        self._started_s = time.process_time()
        self.seconds = 0.0
        self.points: list[tuple[int, float]] = []

    def on_step(self, step: int, num_steps: int, loss: float) -> None:
        self._place.observer.on_step(step, num_steps, loss)
        self._losses.append(loss)
        self.seconds = time.process_time() - self._started_s
        if step % self.every == 0 or step == num_steps:
            mean = sum(self._losses) / len(self._losses)
            self.points.append((step, mean))
            metrics = {"loss": mean, "cpu_s": self.seconds}
            self._place.run.log(step, {f"{self._name}.{key}": one for key, one in metrics.items()})
            self._losses.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class MixerResult:
    """`seconds` are of the CPU; bits per byte are held out.

    `loss_by_step`: mean training loss of the ten steps up to each of these.
    """

    mixer: str
    parameters: int
    tokens: int
    seconds: float
    tokens_per_s: float
    bits_per_byte: float
    loss_by_step: tuple[tuple[int, float], ...]


def study_mixers(config: MixersConfig, place: StudyPlace) -> StudyTable:
    """Train each on the same batches in the same order, then time each at growing contexts."""
    files = [Path(name) for name in config.files]
    corpus = open_tokens(files, config.vocab_size, place.corpus_folder, place.work_folder)
    check_length(corpus, config.context_tokens)
    longest = max(*config.contexts, config.context_tokens)
    shape = config.model.config(corpus.tokenizer.get_vocab_size(), longest)
    mixers = build_mixers(shape, place.seed)
    results = [train(name, module, corpus, config, place) for name, module in mixers.items()]
    costs = []
    for cost in measure_contexts(mixers, config.contexts):
        metrics = {"token_s": cost.token_s, "train_token_s": cost.train_token_s}
        place.run.log(
            cost.context, {f"{cost.mixer}.context.{name}": one for name, one in metrics.items()}
        )
        costs.append(cost)
    draw(place, results, costs, config)
    place.run.summary(
        {
            "mixers": {one.mixer: asdict(one) for one in results},
            "context_costs": [asdict(cost) for cost in costs],
        }
    )
    return table(results, costs)


def train(
    name: str, module: nn.Module, corpus: TokenisedCorpus, config: MixersConfig, place: StudyPlace
) -> MixerResult:
    def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        del step  # batches differ by the generator alone
        batch = corpus.batch(config.batch_size, config.context_tokens, generator)
        return next_token_loss(module, batch)

    curve = _Curve(name, place)
    trainer = Trainer(module, loss, replace(config.loop, seed=place.seed), observer=curve)
    trainer.run()
    module.eval()
    scores = [
        score(module, held_out, config.context_tokens, config.measure_windows)
        for held_out in corpus.held_out
    ]
    tokens = trainer.step * config.batch_size * config.context_tokens * config.loop.accumulate
    return MixerResult(
        mixer=name,
        parameters=num_parameters(module),
        tokens=tokens,
        seconds=curve.seconds,
        tokens_per_s=tokens / curve.seconds,
        bits_per_byte=total_bits_per_byte(scores, corpus),
        loss_by_step=tuple(curve.points),
    )


def draw(
    place: StudyPlace,
    results: Sequence[MixerResult],
    costs: Sequence[ContextCost],
    config: MixersConfig,
) -> None:
    num_steps = config.loop.num_steps
    panels = [
        _losses("tokens", {one.mixer: _scaled(one, one.tokens / num_steps) for one in results}),
        _losses(
            "CPU seconds", {one.mixer: _scaled(one, one.seconds / num_steps) for one in results}
        ),
        _times("CPU ms for one generated token", costs, lambda cost: 1e3 * cost.token_s),
        _times("CPU µs per trained token", costs, lambda cost: 1e6 * cost.train_token_s),
    ]
    write_chart(place.figure("mixers"), "Equal parameters, same batches", panels)


def _scaled(one: MixerResult, per_step: float) -> Points:
    return [(step * per_step, loss) for step, loss in one.loss_by_step]


def _losses(x_label: str, lines: Mapping[str, Points]) -> Panel:
    return Panel(x_label=x_label, y_label="training loss (nats per token)", lines=lines)


def _times(
    y_label: str, costs: Sequence[ContextCost], value: Callable[[ContextCost], float]
) -> Panel:
    names = dict.fromkeys(cost.mixer for cost in costs)
    return Panel(
        x_label="context (tokens)",
        y_label=y_label,
        lines={
            name: [(cost.context, value(cost)) for cost in costs if cost.mixer == name]
            for name in names
        },
        is_log_x=True,
        is_log_y=True,
    )


def table(results: Sequence[MixerResult], costs: Sequence[ContextCost]) -> StudyTable:
    contexts = sorted({cost.context for cost in costs})
    token_s = {(cost.mixer, cost.context): cost.token_s for cost in costs}
    return StudyTable(
        columns=(
            "mixer",
            "parameters",
            "tokens per CPU s",
            "bits per byte",
            *(f"token at {context}" for context in contexts),
        ),
        rows=tuple(
            (
                one.mixer,
                f"{one.parameters:,}",
                f"{one.tokens_per_s:,.0f}",
                f"{one.bits_per_byte:.3f}",
                *(format_seconds(token_s[one.mixer, context]) for context in contexts),
            )
            for one in results
        ),
    )
