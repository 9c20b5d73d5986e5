"""`loadsheet train text` and `train ablation`, as a user runs them on small text."""

import argparse
from pathlib import Path

import pytest

from loadsheet.cli import train_text
from loadsheet.cli.main import main
from loadsheet.track import read_runs

CONFIGS = Path(__file__).parents[3] / "examples" / "scenario-1-decoder" / "configs"
RECIPE = """
name = "tiny"
vocab_size = 280
context_tokens = 32
batch_size = 2
measure_every = 5
sample_tokens = 4
[model]
hidden_size = 16
ffn_size = 32
num_layers = 1
num_heads = 2
num_kv_heads = 1
[loop]
num_steps = 50
learning_rate = 1e-2
"""


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"a line with the number {n % 7} in it\n" for n in range(600)))
    return path


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def loadsheet(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_trained_folder_generates(text, recipe, tmp_path, capsys):
    out, runs = tmp_path / "model", tmp_path / "runs"
    flags = ("--out", out, "--config", recipe, "--corpus", text, "--runs", runs)
    code, shown, progress = loadsheet(capsys, "train", "text", *flags, "--steps", 6, "--seed", 3)
    assert code == 0
    assert "bits per byte" in shown
    assert "tiny 6/6 loss" in progress
    [run] = read_runs(runs)
    assert run.command == "train text"
    assert run.config["loop"]["seed"] == 3
    assert run.summary["steps"] == 6

    generate = ("generate", "--model", out, "--prompt", "a line", "--max-tokens", 5)
    code, continued, _ = loadsheet(capsys, *generate, "--dtype", "fp32")
    assert code == 0
    assert len(continued) > 1
    assert loadsheet(capsys, *generate, "--dtype", "fp32", "--raw")[1] == continued


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("text", "--out", "o", "--config", "none.toml"), "none.toml cannot be read"),
        (("text", "--out", "o", "--corpus", "none.txt"), "none.txt cannot be read"),
        (("text", "--out", "o", "--steps", "0"), "num_steps is 0; give 1 or more"),
        (("text", "--out", "o", "--track", "paper"), "no tracker 'paper'"),
        (("ablation", "jax"), "name a model: --model FOLDER"),
        (("ablation", "attention", "--model", "x"), "--model is for jax"),
        (("ablation", "kv-cache", "--corpus", "x"), "--corpus is for mixers"),
    ],
)
def test_bad_input_is_one_clear_line(words, message, text, recipe, monkeypatch, capsys):
    monkeypatch.chdir(text.parent)
    good = {"--config": recipe, "--corpus": text} if words[0] == "text" else {}
    rest = [word for flag, value in good.items() if flag not in words for word in (flag, value)]
    code, _, error = loadsheet(capsys, "train", *words, *rest)
    assert code == 2
    assert message in error
    assert "Traceback" not in error


def test_studies_print_a_table_and_store_numbers(tmp_path, capsys):
    config = tmp_path / "kv.toml"
    config.write_text(
        "contexts = [4, 8]\nrepeats = 1\nvocab_size = 300\n[model]\nhidden_size = 32\n"
        "ffn_size = 32\nnum_layers = 1\nnum_heads = 2\nnum_kv_heads = 1\n"
    )
    code, shown, _ = loadsheet(
        capsys, "train", "ablation", "kv-cache", "--config", config, "--runs", tmp_path / "runs"
    )
    assert code == 0
    assert "with cache" in shown
    [run] = read_runs(tmp_path / "runs")
    assert run.name == "kv-cache"
    assert [point.step for point in run.series("recomputed_s")] == [4, 8]


def test_the_twin_is_compared_on_a_trained_folder(text, recipe, tmp_path, capsys):
    out, runs = tmp_path / "model", tmp_path / "runs"
    flags = ("--out", out, "--config", recipe, "--corpus", text, "--runs", runs, "--steps", 5)
    assert loadsheet(capsys, "train", "text", *flags)[0] == 0
    code, shown, _ = loadsheet(capsys, "train", "ablation", "jax", "--model", out, "--runs", runs)
    assert code == 0
    assert "64 of 64" in shown
    [twin] = [run for run in read_runs(runs) if run.name == "jax"]
    agreement = twin.summary["agreement"]
    assert agreement["max_logit_difference"] <= 1e-4


def test_the_committed_recipe_is_the_default():
    parser = argparse.ArgumentParser()
    train_text.add_flags(parser)
    stored = train_text.recipe(
        parser.parse_args(["--out", "o", "--config", str(CONFIGS / "decoder.toml")])
    )
    assert stored == train_text.recipe(parser.parse_args(["--out", "o"]))
