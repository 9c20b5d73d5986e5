"""Adapting to a style: the split by concept, a whole judged run, and a sweep that resumes.

Art of a dozen concepts in four styles, drawn here; the base is a random SD folder of 32×32 pixels.
"""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadsheet.adapt import art
from loadsheet.adapt.adaptation_method import parse_method
from loadsheet.adapt.adapter_folder import base_sha256, read_base_sha256
from loadsheet.adapt.icon_classifier import ClassifierConfig
from loadsheet.adapt.image_adaptation import Base, ImageAdaptationConfig
from loadsheet.adapt.image_run import ImageRunPlan, run_style
from loadsheet.adapt.image_sweep import missing_runs, read_sweep
from loadsheet.adapt.style_art import (
    HIGH_CONTRAST,
    PACKAGES,
    StyleArt,
    is_held_out,
    open_style_art,
)
from loadsheet.adapt.style_judges import StyleJudgeConfig
from loadsheet.adapt.style_scores import ScoreConfig, saturation
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import resolve_placement
from loadsheet.errors import ConfigError
from loadsheet.track import read_runs

COLORS = {
    "fluent-emoji-high-contrast": "#000000",
    "fluent-emoji": "#ff66cc",
    "noto": "#cc2200",
    "fluent-emoji-flat": "#00aa44",
}
# 🐀 and on are neighbours in Unicode; with this many some are held out
CHARACTERS = [chr(0x1F400 + offset) for offset in range(40)]
HIGH = HIGH_CONTRAST.key


@pytest.fixture(scope="module")
def art_of_four_styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("art")
    names = {
        character: {"name": f"thing {idx}", "group": "Animals & Nature"}
        for idx, character in enumerate(CHARACTERS)
    }
    contents = {
        art.EMOJI_NAMES: {"data-by-emoji.json": names},
        art.EMOJI_KEYWORDS: {"dist/emoji-en-US.json": {}},
    }
    for key, package in PACKAGES.items():
        icons = {
            f"thing-{idx}": {
                "body": f'<circle cx="{4 + idx % 8}" cy="8" r="{2 + idx % 4}" '
                f'fill="{COLORS[key]}"/>'
            }
            for idx in range(len(CHARACTERS))
        }
        contents[package] = {"icons.json": {"prefix": key, "icons": icons}}
    for package, files in contents.items():
        with tarfile.open(folder / package.file_name, "w:gz") as tar:
            for name, data in files.items():
                body = json.dumps(data).encode()
                info = tarfile.TarInfo(f"package/{name}")
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return folder


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archives made here have other hashes than the pinned ones."""
    monkeypatch.setattr(art, "verify", lambda package, archive: None)


@pytest.fixture
def drawn(art_of_four_styles: Path, tmp_path: Path, unpinned: None) -> StyleArt:
    return open_style_art(HIGH_CONTRAST, art_of_four_styles, tmp_path / "drawn", 32)


def test_seen_and_held_out_concepts_share_nothing(drawn: StyleArt) -> None:
    both = range(2)
    seen, unseen = (drawn.rows(held_out=flag, variants=both) for flag in (False, True))
    assert sorted(seen + unseen) == list(range(len(drawn.pictures)))
    names = [{drawn.pictures[row].concept.name for row in rows} for rows in (seen, unseen)]
    assert not names[0] & names[1]
    assert 0 < len(names[1]) < len(names[0]) / 2


def test_about_one_concept_in_ten_is_held_out(drawn: StyleArt) -> None:
    concept = drawn.pictures[0].concept
    hits = [is_held_out(replace(concept, character=chr(code))) for code in range(10_000, 30_000)]
    assert np.mean(hits) == pytest.approx(0.1, abs=0.01)


def test_art_is_drawn_once_and_moved_copies_differ(
    drawn: StyleArt, art_of_four_styles: Path, tmp_path: Path
) -> None:
    plain, moved = (drawn.rows(held_out=False, variants=range(v, v + 1)) for v in (0, 1))
    assert drawn.images[plain].min() == 0  # black glyphs
    assert (drawn.images[plain] != drawn.images[moved]).any(axis=(1, 2, 3)).all()
    (file,) = (tmp_path / "drawn").glob("*.npy")
    before_ns = file.stat().st_mtime_ns
    open_style_art(HIGH_CONTRAST, art_of_four_styles, tmp_path / "drawn", 32)
    assert file.stat().st_mtime_ns == before_ns


def test_saturation_of_greys_is_nothing() -> None:
    grey = np.full((2, 4, 4, 3), 90, dtype=np.uint8)
    red = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert saturation(grey) == 0
    assert saturation(red) == 1


@pytest.fixture
def plan(
    art_of_four_styles: Path,
    write_diffusion_folder: Callable[..., Path],
    tmp_path: Path,
    unpinned: None,
) -> ImageRunPlan:
    return ImageRunPlan(
        base=Base(
            folder=write_diffusion_folder(tmp_path / "tiny", "sd", "epsilon"),
            name="tiny",
            device="cpu",
        ),
        art_folder=art_of_four_styles,
        cache_folder=tmp_path / "cache",
        runs_folder=tmp_path / "runs",
        scores=ScoreConfig(
            num_seen=3,
            num_held_out=2,
            num_diverse=1,
            seeds_per_prompt=2,
            steps_to_try=(1,),
            num_at_each=2,
        ),
        judges=StyleJudgeConfig(
            style_steps=60,
            concept_steps=2,
            classifier=ClassifierConfig(image_size=32, widths=(8, 16), max_tint=0.05),
        ),
    )


def config_of(method: str) -> ImageAdaptationConfig:
    return ImageAdaptationConfig(method=parse_method(method), num_steps=2, batch_size=2)


def test_a_run_is_trained_judged_and_kept(plan: ImageRunPlan) -> None:
    summary = run_style(plan, HIGH, config_of("lora-r2-attention"), None)
    (run,) = read_runs(plan.runs_folder)
    stored = {k: v for k, v in summary.items() if k not in ("run", "folder")}
    assert run.summary == json.loads(json.dumps(stored))
    for key in ("style_score", "style_score_held_out", "concept_accuracy", "judge_style_accuracy"):
        assert 0 <= run.summary[key] <= 1
    assert run.summary["judge_style_accuracy"] > 0.6  # four flat colours: easily told apart
    assert [row[0] for row in run.summary["quality_by_num_steps"]] == [1, 30]
    assert run.summary["fid_like"] > 0
    assert (run.summary["style"], run.summary["method"]) == (HIGH, "lora-r2-attention")
    folder = Path(str(summary["folder"]))
    assert read_base_sha256(folder) == base_sha256(plan.base.folder)
    assert (
        run.summary["shipped_bytes"] == (folder / "pytorch_lora_weights.safetensors").stat().st_size
    )


def test_full_fine_tuning_leaves_a_whole_folder_and_the_base_alone(plan: ImageRunPlan) -> None:
    before = base_sha256(plan.base.folder)
    summary = run_style(plan, HIGH, config_of("full"), None)
    assert summary["trainable_parameters"] == summary["total_parameters"]
    opened = open_pipeline(Path(str(summary["folder"])), resolve_placement("cpu", "fp32"))
    assert opened.sizes[0] == (32, 32)
    assert base_sha256(Path(str(summary["folder"]))) != before
    assert base_sha256(plan.base.folder) == before


def test_a_sweep_skips_what_is_stored(plan: ImageRunPlan, tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(
        f'[[runs]]\nstyles = ["{HIGH}"]\nmethods = ["lora-r2-attention", "full"]\n'
        "num_steps = 2\nbatch_size = 2\n"
    )
    sweep = read_sweep(file)
    assert [one.config.method.name for one in sweep] == ["lora-r2-attention", "full"]
    assert missing_runs(plan, sweep) == sweep
    run_style(plan, HIGH, sweep[0].config, None)
    assert missing_runs(plan, sweep) == sweep[1:]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("runs = 3", "runs"),
        ('[[runs]]\nmethods = ["x"]', "method is 'x'"),
        ('[[runs]]\nstyles = ["noir"]', "style is 'noir'"),
        ("[[runs]]\nseeds = 1", "a list of whole numbers"),
        ("[[runs]]\nsteps = 1", "steps"),
        ("[[", "is not TOML"),
    ],
)
def test_a_wrong_sweep_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_sweep(tmp_path / "x.toml")
