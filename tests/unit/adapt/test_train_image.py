"""All stages on two drawings: it learns, writes a model that loads, resumes, and is tracked."""

from dataclasses import replace

import pytest
from PIL import Image

from loadsheet.adapt.image_config import TrainImageConfig
from loadsheet.adapt.model_folder import read_model
from loadsheet.adapt.stage_progress import Unwatched
from loadsheet.adapt.toml_config import parse_config
from loadsheet.adapt.train_image import SHEET_NAME, ImageTask, check_same_recipe, train_image
from loadsheet.errors import ConfigError
from loadsheet.track import read_run

STEPS = {"learning_rate": 3e-3, "warmup_steps": 3, "ema_decay": 0.8, "autocast": False}
RECIPE = {
    "name": "two-drawings",
    "gallery": {"size": 16, "num_variants": 1},
    "autoencoder": {
        "image_size": 16,
        "crop_size": 8,
        "latent_channels": 2,
        "block_out_channels": [8, 8],
        "norm_num_groups": 2,
        "batch_size": 8,
    },
    "autoencoder_loop": {"num_steps": 60, **STEPS},
    "decoder_loop": {"num_steps": 2, **STEPS},
    "denoiser": {
        "sample_size": 8,
        "latent_channels": 2,
        "block_out_channels": [8, 16],
        "num_heads": 2,
        "norm_num_groups": 4,
        "batch_size": 8,
    },
    "denoiser_loop": {"num_steps": 60, **STEPS},
    "sampling": {"num_steps": 2},
    "sheet_prompts": ["pear", "key"],
    "sheet_seeds": 1,
}


@pytest.fixture
def task(art_folder, encoder_folder, tmp_path):
    return ImageTask(
        config=parse_config(RECIPE, TrainImageConfig, "test"),
        encoder_folder=encoder_folder,
        work_folder=tmp_path / "work",
        out_folder=tmp_path / "model",
        art_folder=art_folder,
        runs_folder=tmp_path / "runs",
        progress=Unwatched(),
    )


def losses(run, stage):
    return [
        point.values[f"{stage}.loss"] for point in run.metrics if f"{stage}.loss" in point.values
    ]


def test_it_learns_and_leaves_a_model_a_sheet_and_a_run(task):
    run = read_run(train_image(task))
    for stage in ("autoencoder", "denoiser"):
        first, *_, last = losses(run, stage)
        assert last < 0.8 * first, stage
    autoencoder, denoiser = read_model(task.out_folder)
    assert run.summary["denoiser_parameters"] == sum(p.numel() for p in denoiser.parameters())
    assert autoencoder.config["sample_size"] == 16
    assert run.summary["samples"] == 60 * 8
    assert (run.status, run.command) == ("finished", "train image")
    with Image.open(run.folder / "artifacts" / SHEET_NAME) as sheet:
        assert sheet.size[1] > 16


def test_a_stopped_training_goes_on_in_the_same_run(task, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("loadsheet.adapt.train_image.refined_decoder", stopped)
        with pytest.raises(KeyboardInterrupt):
            train_image(task)
    run = read_run(train_image(task))
    assert [folder.name for folder in task.runs_folder.iterdir()] == [run.id]
    assert run.status == "finished"
    assert len(losses(run, "denoiser")) == 6  # every 10th of 60 steps: not trained twice


def stopped(*arguments):
    raise KeyboardInterrupt


def test_another_recipe_does_not_continue_the_work(task):
    check_same_recipe(task)
    check_same_recipe(task)
    with pytest.raises(ConfigError, match="with another autoencoder_loop, decoder_loop, denoiser"):
        check_same_recipe(replace(task, config=task.config.seeded(7)))


def test_parts_must_fit_each_other():
    shapes = RECIPE | {"gallery": {"size": 32}}
    with pytest.raises(ConfigError, match=r"autoencoder\.image_size is 16; .* make it 32"):
        parse_config(shapes, TrainImageConfig, "test")
