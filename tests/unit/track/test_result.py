"""Our results beside published ones, and in a model card."""

import json

import pytest
import yaml

from loadsheet.cli.main import main
from loadsheet.errors import ConfigError
from loadsheet.track import read_run, read_runs, start_run
from loadsheet.track.model_index import model_index
from loadsheet.track.result import published_results, results_of
from loadsheet.track.result_table import markdown_results


@pytest.fixture
def folder(tmp_path):
    for seed, accuracy in enumerate((0.80, 0.83, 0.82)):
        summary = {
            "method": "lora",
            "seed": seed,
            "train_domain": "movie",
            "num_train_examples": 4000,
            "accuracy": accuracy,
            "macro_f1": accuracy - 0.01,
        }
        config = {"base": "minilm", "data": {"package": "rated"}, "seed": seed}
        with start_run(tmp_path, command="adapt text", name=f"lora-{seed}", config=config) as run:
            run.summary(summary)
    with start_run(tmp_path, command="adapt image", name="full", config={"base": "emoji"}) as run:
        run.summary({"method": "full", "style": "bold", "num_steps": 300, "style_score": 0.9})
    return tmp_path


def test_seeds_are_one_result_with_their_spread(folder):
    results = {(r.model, r.metric): r for r in results_of(read_runs(folder))}
    assert len(results) == 3
    accuracy = results["lora on minilm", "accuracy"]
    assert accuracy.value.value == pytest.approx((0.80 + 0.83 + 0.82) / 3)
    assert (accuracy.value.low, accuracy.value.high) == (0.80, 0.83)
    assert accuracy.num_seeds == 3
    assert accuracy.dataset == "rated, trained on movie, 4 000 texts"
    assert results["full on emoji", "style_score"].dataset == "emoji in the style bold, 300 steps"


def test_a_baseline_without_an_encoder_and_data_of_ones_own(tmp_path):
    config = {"base": "minilm", "data": {"file": "my.csv"}}
    with start_run(tmp_path, command="adapt text", name="t", config=config) as run:
        run.summary({"method": "tfidf", "train_domain": "all", "accuracy": 0.7})
    (result,) = results_of(read_runs(tmp_path))
    assert (result.model, result.dataset) == ("tfidf on words", "my.csv, trained on all, ? texts")


def test_unfinished_runs_are_no_results(tmp_path):
    run = start_run(tmp_path, command="adapt text", name="dead", config={})
    run.summary({"accuracy": 0.99, "method": "lora"})
    run.finish("failed")
    assert results_of(read_runs(tmp_path)) == ()


def test_published_results_name_a_paper_and_are_shares_or_distances():
    results = published_results()
    assert len(results) > 8
    assert all(result.source and not result.is_ours for result in results)
    shares = [r for r in results if r.metric in ("accuracy", "f1")]
    assert shares
    assert all(0.5 < result.value.value < 1 for result in shares)


def test_the_table_keeps_measured_and_published_apart(folder):
    text = markdown_results((*results_of(read_runs(folder)), *published_results()))
    rows = [line for line in text.splitlines() if line.startswith("| ") and "| value |" not in line]
    assert all(("measured: " in row) != ("published: " in row) for row in rows)
    assert any("BERT-base" in row and "arXiv:1810.04805" in row for row in rows)
    assert any("0.8167 (0.8 to 0.83) | 3 |" in row and "lora-0 and 2 more" in row for row in rows)
    assert {row.count("|") for row in rows} == {7}


def test_the_command_writes_markdown_json_and_a_file(folder, tmp_path, capsys):
    words = ["results", "--runs", str(folder)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "### text-classification" in text
    assert "### text-generation" not in text  # nothing of ours to show beside it
    assert main([*words, "--ours", "--json"]) == 0
    assert all(result["is_ours"] for result in json.loads(capsys.readouterr().out))
    assert main([*words, "--out", str(tmp_path / "r.md")]) == 0
    assert (tmp_path / "r.md").read_text() == text
    assert main([*words, "--out", str(tmp_path / "absent" / "r.md")]) == 2


def test_no_results_are_said_so(tmp_path, capsys):
    assert main(["results", "--runs", str(tmp_path)]) == 2
    assert "no finished run with results" in capsys.readouterr().err


def test_a_model_card_is_read_by_the_hub_library(folder, tmp_path, capsys):
    from huggingface_hub import ModelCard

    assert main(["results", "--runs", str(folder), "--model-index", "lora-1"]) == 0
    block = capsys.readouterr().out
    (entry,) = yaml.safe_load(block)["model-index"]
    assert entry["name"] == "lora-1"
    card = ModelCard(f"---\n{block}---\n# An adapter\n")
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found == {"accuracy": 0.83, "macro_f1": 0.82}
    assert card.data.eval_results[0].dataset_name == "movie"


def test_a_run_without_results_has_no_card(folder):
    run = start_run(folder, command="bench run", name="b", config={})
    run.finish()
    with pytest.raises(ConfigError, match="a model card is for"):
        model_index(read_run(run.folder), "b")
    run = start_run(folder, command="adapt text", name="c", config={})
    run.finish()
    with pytest.raises(ConfigError, match="has none of accuracy"):
        model_index(read_run(run.folder), "c")
