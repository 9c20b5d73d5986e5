"""The comparison says what its runs say, and nothing else."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from loadsheet.adapt.comparison_cost import comparison_cost
from loadsheet.adapt.comparison_page import comparison_page, gather
from loadsheet.adapt.comparison_runs import Spread, image_side, text_side
from loadsheet.cli.main import main
from loadsheet.errors import ConfigError
from loadsheet.track import read_runs, start_run

ROOT = Path(__file__).parents[3]
STORED = ROOT / "examples/scenario-2-adapt/runs"
PAGE = ROOT / "docs/guide/adapting-transformers-and-diffusion.md"


def text_summary(method, seed, domain="all", num=4000, accuracy=0.8):
    return {
        "method": method,
        "seed": seed,
        "train_domain": domain,
        "num_train_examples": num,
        "num_test_examples": 1600,
        "labels": ["negative", "positive"],
        "accuracy": accuracy,
        "macro_f1": accuracy - 0.01,
        "ece": 0.02 if method == "probe" else 0.07,
        "nll": 0.45,
        "accuracy_by_domain": {"movie": accuracy, "tweets": accuracy - 0.1, "nyt": accuracy - 0.2},
        "trainable_parameters": {"probe": 770, "lora": 74_000}.get(method, 22_700_000),
        "total_parameters": 22_700_000,
        "seconds": 40.0,
        "s_per_step": {"lora": 0.21, "full": 0.3}.get(method, 0.3),
        "num_steps": 250,
        "peak_memory_bytes": 2**29,
        "shipped_bytes": {"probe": 3200, "lora": 300_000}.get(method, 90_000_000),
        "ms_per_example": {"tfidf": 0.1, "lora": 3.0}.get(method, 2.0),
    }


def image_summary(method, seed, style="high-contrast", num_steps=400, score=0.9):
    is_lora = method.startswith("lora")
    return {
        "method": method,
        "style": style,
        "seed": seed,
        "num_steps": num_steps,
        "style_score": score,
        "style_score_held_out": score - 0.05,
        "concept_accuracy": 0.3 if method == "scratch" else 0.7,
        "concept_accuracy_held_out": 0.5,
        "fid_like": 12.0,
        "diversity": 0.4,
        "base_forgetting": 0.02 if is_lora else 0.15,
        "trainable_parameters": 60_000 if is_lora else 14_144_040,
        "total_parameters": 14_144_040,
        "seconds": 120.0,
        "s_per_step": 0.3 if is_lora else 0.4,
        "peak_memory_bytes": 2**30,
        "shipped_bytes": 130_000 if is_lora else 28_300_000,
        "quality_by_num_steps": [
            [5, score - 0.2, 20.0],
            [10, score - 0.01, 13.0],
            [20, score, 12.0],
        ],
        "ms_per_image": 700.0,
        "judge_style_accuracy": 0.99,
        "judge_concept_accuracy": 0.8,
    }


def store(folder, command, summary, losses=()):
    name = f"{summary['method']}-{summary['seed']}"
    config = {key: summary[key] for key in ("method", "seed")}
    if command == "adapt image":
        config["num_steps"] = summary["num_steps"]
    with start_run(folder, command=command, name=name, config=config) as run:
        run.summary(summary)
    # times by hand: every second stretch of ten steps is disturbed and takes twice as long
    time_s, lines = 0.0, []
    for index, loss in enumerate(losses):
        time_s += 10 * summary["s_per_step"] * (1 + index % 2)
        lines.append(json.dumps({"step": 10 * (index + 1), "time_s": time_s, "loss": loss}))
    (run.folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("runs")
    falling = [1.0, 0.6, 0.4, 0.3, 0.25, 0.25, 0.25, 0.25]
    for method, accuracies in {
        "tfidf": [0.78],
        "probe": [0.80, 0.80],
        "lora": [0.84, 0.86],
        "full": [0.85, 0.87],
        "scratch": [0.70],
    }.items():
        for seed, accuracy in enumerate(accuracies):
            store(tmp_path, "adapt text", text_summary(method, seed, accuracy=accuracy), falling)
    for num, accuracy in ((100, 0.70), (1000, 0.845)):
        store(tmp_path, "adapt text", text_summary("lora", 0, num=num, accuracy=accuracy))
    for domain in ("movie", "all-but-nyt"):
        store(tmp_path, "adapt text", text_summary("lora", 0, domain=domain, accuracy=0.9))
    for method in ("lora-r4-attention", "lora-r16-attention", "full", "scratch"):
        score = 0.95 if method == "full" else 0.9
        store(tmp_path, "adapt image", image_summary(method, 0, score=score), falling)
    store(tmp_path, "adapt image", image_summary("full", 0, style="subtle", score=0.4))
    store(tmp_path, "train text", image_summary("other", 0))
    return tmp_path


@pytest.fixture
def folder(stored, tmp_path):
    return Path(shutil.copytree(stored, tmp_path / "runs"))


@pytest.fixture(scope="module")
def page(stored):
    return comparison_page(gather(read_runs(stored)))


def plain(page):
    return " ".join(page.split())


def test_runs_are_grouped_by_what_most_methods_share(folder):
    text = text_side(read_runs(folder))
    assert text.num_examples == 4000
    assert list(text.main) == ["tfidf", "probe", "lora", "full", "scratch"]
    assert text.main["lora"].spread("accuracy") == Spread(
        mean=pytest.approx(0.85), low=0.84, high=0.86, num=2
    )
    assert list(text.curve["lora"]) == [100, 1000, 4000]
    assert sorted(text.shifted) == [("all-but-nyt", "lora"), ("movie", "lora")]
    image = image_side(read_runs(folder))
    assert (image.style, image.num_steps) == ("high-contrast", 400)
    assert list(image.main) == ["lora-r4-attention", "lora-r16-attention", "full", "scratch"]
    assert list(image.others) == ["subtle"]


@pytest.mark.parametrize(
    "sentence",
    [
        "`lora` trains 0.33 % of the parameters and ships 293.0 KiB, 300 × less than full",
        "`lora-r4-attention` trains 0.42 % of the parameters",
        "`lora` is within one point of its best (85.0 %) with 1000 of 4000.",
        "70.0 % accuracy; `full` from the base 86.0 %, 16.0 points more.",
        "30.0 % concepts recognised;",
        "a quiet step of `lora` takes 70.0 % of a full one, its peak memory is 100.0 %.",
        "a quiet step of `lora-r4-attention` takes 75.0 % of a full one",
        "With 1600 test texts the standard error of an accuracy of 86.0 % is 0.9 points.",
        "The seeds of LoRA and of full fine-tuning overlap",
        "rose by: `lora-r4-attention` 2.0 %, `lora-r16-attention` 2.0 %, `full` 15.0 %.",
        "seen and held-out concepts is 20.0 points (`lora-r4-attention`)",
        "the judges are right in 99.0 % (style) and 80.0 % (concept).",
        "`full` draws 50.0 % of the held-out concepts recognisably (seen ones: 70.0 %), 90.0 %",
        "The largest drop is 15.0 points, `lora` trained on",
        "of `probe` by 2.0 %",
        "2 ms per text, 700 ms per image of 20 steps, 350 × as long.",
        "`full` is within two points of its best style score from 10 steps on.",
    ],
)
def test_sentences_hold_the_numbers_of_the_runs(page, sentence):
    assert sentence in plain(page)


def test_domain_shift_is_from_what_was_trained_on_to_the_rest(page):
    """On movie 0.9, tweets 0.8, nyt 0.7: (0.8 + 0.7) / 2 and (0.9 + 0.8) / 2."""
    assert "| movie | 90.0 % → 75.0 % |" in page.replace("\u00a0", " ")
    assert "| all-but-nyt | 85.0 % → 70.0 % |" in page.replace("\u00a0", " ")


def test_the_loss_table_says_when_it_settled(page):
    """1.0 falls to 0.25: 90 % of the fall is 0.325, reached at step 40."""
    assert "| text: full | 1 | 0.25 | 40 | 80 |" in page


def test_another_number_gives_another_page(folder, page):
    store(folder, "adapt text", text_summary("full", 2, accuracy=0.95))
    assert comparison_page(gather(read_runs(folder))) != page


def test_a_repeated_seed_is_no_further_draw(folder):
    store(folder, "adapt text", text_summary("lora", 1, accuracy=0.90))
    spread = text_side(read_runs(folder)).main["lora"].spread("accuracy")
    assert (spread.low, spread.high, spread.num) == (0.84, 0.90, 2)


@pytest.mark.parametrize(("s_per_step", "is_doubted"), [(0.21, False), (0.03, True), (0.9, True)])
def test_a_ratio_that_the_count_forbids_is_not_trusted(folder, s_per_step, is_doubted):
    for seed in (0, 1):
        summary = {**text_summary("lora", seed, accuracy=0.85), "s_per_step": s_per_step}
        store(folder, "adapt text", summary, [1.0, 0.6, 0.4, 0.3])
    page = comparison_page(gather(read_runs(folder)))
    assert ("trust the count" in plain(page)) == is_doubted


def test_what_no_run_shows_is_listed_and_not_claimed(tmp_path):
    bare = {"method": "probe", "seed": 0, "train_domain": "all", "num_train_examples": 10}
    store(tmp_path, "adapt text", {**bare, "num_steps": 0, "accuracy": 0.5})
    store(tmp_path, "adapt image", {"method": "full", "seed": 0, "style": "s", "num_steps": 2})
    page = comparison_page(gather(read_runs(tmp_path)))
    limits = page.split("## What these runs do not show")[1]
    for gap in ("learning curve", "LoRA saves on the encoder", "domain shift", "style bleed"):
        assert gap in limits
    assert "None" not in page
    assert "## Data needed\n\nThese runs do not tell" in page
    assert "nan" not in page.lower().split()


def test_a_missing_side_is_refused(tmp_path, folder):
    store(tmp_path / "t", "adapt text", text_summary("probe", 0))
    with pytest.raises(ConfigError, match="no finished run of `adapt image`"):
        gather(read_runs(tmp_path / "t"))
    with pytest.raises(ConfigError, match="trained on all domains"):
        text_side([run for run in read_runs(folder) if run.summary.get("train_domain") == "movie"])


def test_exact_counts_by_hand():
    cost = comparison_cost()
    # MiniLM: 6 layers, each 12 d² per token with d = 384 and ff = 4 d; attention 4 d T² per layer
    tokens, d = 32, 384
    by_hand = 6 * (2 * tokens * 12 * d * d + 4 * d * tokens**2)
    assert cost.classify.flops == pytest.approx(by_hand, rel=2e-3)  # the rest is the pooler
    assert cost.caption.flops == 2 * cost.classify.flops
    assert cost.latent_positions == 16 * 16
    assert cost.image_flops - cost.image_flops_in(cost.num_steps - 1) == cost.denoise.flops
    # a cached token reads keys and values: 30 layers, 3 heads of 64, 2 bytes
    assert cost.cached.kv_bytes == pytest.approx(512 * 2 * 30 * 3 * 64 * 2, rel=3e-3)
    assert cost.uncached.flops > 300 * cost.cached.flops


def test_the_page_follows_the_counts(folder):
    facts = gather(read_runs(folder))
    twice = replace(facts.cost, num_steps=2 * facts.cost.num_steps)
    page = comparison_page(replace(facts, cost=twice))
    assert f"an image of {2 * facts.cost.num_steps} steps" in page


def test_the_command_writes_page_and_figure(folder, tmp_path, capsys):
    page, figure = tmp_path / "page.md", tmp_path / "img" / "losses.svg"
    figure.parent.mkdir()
    words = ["adapt", "compare", "--runs", str(folder)]
    assert main([*words, "--out", str(page), "--figure", str(figure)]) == 0
    assert "](img/losses.svg)" in page.read_text()
    assert "training step" in figure.read_text()
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("# Adapting Transformers and diffusion models\n")
    assert main([*words, "--figure", "x.png"]) == 2
    assert main([*words, "--out", str(tmp_path / "absent" / "p.md")]) == 2


def test_comparing_needs_no_torch(folder):
    program = (
        "import sys; from loadsheet.cli.main import main\n"
        f"assert main(['adapt', 'compare', '--runs', {str(folder)!r}]) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_committed_page_is_what_the_stored_runs_give():
    figure = re.search(r"\]\((img/[^)]*)\)", PAGE.read_text())
    page = comparison_page(gather(read_runs(STORED)), figure=figure and figure.group(1))
    assert PAGE.read_text() == page


def test_stored_runs_are_small():
    for run in read_runs(STORED) if STORED.exists() else ():
        files = [path for path in run.folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < 300_000, run.id
        json.dumps(run.summary, allow_nan=False)
