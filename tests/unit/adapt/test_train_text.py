"""The whole training on a small text: it learns, measures, resumes, and refuses what is wrong."""

import json
import math
from dataclasses import replace

import pytest
import torch

from loadsheet.adapt.loop import LoopConfig
from loadsheet.adapt.text_config import DecoderShape, TrainTextConfig
from loadsheet.adapt.text_evaluation import score
from loadsheet.adapt.text_tokens import HeldOut, open_tokens
from loadsheet.adapt.train_text import TextTask, train_text
from loadsheet.errors import ConfigError
from loadsheet.track import read_run, read_runs

CONFIG = TrainTextConfig(
    name="tiny",
    vocab_size=280,
    context_tokens=32,
    batch_size=4,
    measure_every=20,
    measure_windows=4,
    prompts=("a line",),
    sample_tokens=8,
    model=DecoderShape(hidden_size=32, ffn_size=64, num_layers=1, num_heads=2, num_kv_heads=1),
    loop=LoopConfig(num_steps=50, learning_rate=1e-2, warmup_steps=5, ema_decay=0.5),
)


class Steps:
    """Remembers what it was told; may stop the training."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def on_step(self, step, num_steps, loss):
        self.seen.append((step, num_steps, loss))
        if step == self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"a line with the number {n % 7} in it\n" for n in range(900)))
    return path


@pytest.fixture
def task(text, tmp_path):
    return TextTask(
        config=replace(CONFIG, files=(str(text),)),
        out_folder=tmp_path / "model",
        corpus_folder=tmp_path / "corpus",
        runs_folder=tmp_path / "runs",
        observer=Steps(),
    )


def test_it_learns_and_says_so(task):
    run = read_run(train_text(task))
    assert [step for step, _, _ in task.observer.seen] == list(range(1, 51))
    measured = run.series("bits_per_byte.lines")
    first, *_, last = (point.values["bits_per_byte.lines"] for point in measured)
    assert last < 0.7 * first
    assert [point.step for point in measured] == [20, 40, 50]
    assert run.status == "finished"
    assert run.number("tokens") == 50 * 4 * 32
    assert run.number("bits_per_byte") < 1.5
    assert run.number("bits_per_byte") == pytest.approx(
        run.summary["bits_per_byte_by_source"]["lines"]
    )
    curve, stored = run.artifacts
    assert "held out" in curve.read_text()
    samples = [json.loads(line) for line in stored.read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [20, 40, 50]
    assert {path.name for path in task.out_folder.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training",
    }


def test_a_stopped_training_goes_on_to_the_same_weights(task, tmp_path):
    train_text(task)
    other = replace(task, out_folder=tmp_path / "other", observer=Steps(stop_at=33))
    with pytest.raises(KeyboardInterrupt):
        train_text(other)
    resumed = replace(other, observer=Steps())
    folder = train_text(resumed)
    assert resumed.observer.seen[0][0] == 21  # the last checkpoint is of step 20
    assert len(read_runs(task.runs_folder)) == 2  # the stopped run was continued
    assert read_run(folder).status == "finished"
    whole, stopped = (
        one.out_folder.joinpath("model.safetensors").read_bytes() for one in (task, other)
    )
    assert whole == stopped


def test_another_recipe_does_not_continue_a_folder(task):
    train_text(task)
    changed = replace(task, config=replace(task.config, batch_size=2))
    with pytest.raises(ConfigError, match="another batch_size"):
        train_text(changed)


def test_a_text_shorter_than_a_window_is_refused(task, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("two\nlines\n" * 60)
    config = replace(task.config, files=(str(path),), context_tokens=4096)
    with pytest.raises(ConfigError, match="a window of context_tokens = 4096 needs 4097"):
        train_text(replace(task, config=config))


def test_bits_per_byte_of_a_guess_among_all_bytes():
    class Guess(torch.nn.Module):
        def forward(self, ids):
            return torch.zeros(ids.numel(), 256)

    held_out = HeldOut(source="bytes", ids=torch.zeros(101).int().numpy(), num_bytes=101)
    found = score(Guess(), held_out, 10)
    assert found.bits_per_byte == pytest.approx(8)
    assert found.nats_per_token == pytest.approx(math.log(256))
    assert found.num_tokens == 100


def test_tokens_are_kept_and_read_back(text, tmp_path):
    made = open_tokens([text], 280, tmp_path, tmp_path / "work")
    text.write_text(text.read_text().upper())  # unseen: of the same size
    read = open_tokens([text], 280, tmp_path, tmp_path / "work")
    assert (read.train_ids == made.train_ids).all()
    assert read.train_bytes == made.train_bytes
    assert [one.source for one in read.held_out] == ["lines"]
    assert read.tokenizer.decode(read.train_ids[:20].tolist()).startswith("a line with")


def test_tokens_of_other_text_are_made_anew(text, tmp_path):
    open_tokens([text], 280, tmp_path, tmp_path / "work")
    text.write_text("another line\n" * 900)
    read = open_tokens([text], 290, tmp_path, tmp_path / "work")
    assert read.tokenizer.get_vocab_size() <= 290
    assert read.tokenizer.decode(read.train_ids[:20].tolist()).startswith("another line")


@pytest.mark.parametrize("name", ["context_tokens", "batch_size", "measure_every"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} is 0"):
        replace(CONFIG, **{name: 0})
