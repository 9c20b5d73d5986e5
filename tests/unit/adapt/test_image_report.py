"""A random model on two drawings: every number is there, and real pictures look known."""

import pytest
import torch
from PIL import Image

from loadsheet.adapt.autoencoder import AutoencoderConfig, build_autoencoder
from loadsheet.adapt.denoiser import DenoiserConfig, build_denoiser
from loadsheet.adapt.gallery import GalleryConfig
from loadsheet.adapt.icon_classifier import ClassifierConfig
from loadsheet.adapt.image_report import (
    SHEET_NAME,
    SHEET_PROMPTS,
    SHEET_SEEDS,
    ReportConfig,
    ReportTask,
    image_report,
)
from loadsheet.adapt.model_folder import SamplingConfig, write_model
from loadsheet.adapt.stage_progress import Unwatched
from loadsheet.cli.train_image_report import marks_table, neighbours_table
from loadsheet.errors import ConfigError
from loadsheet.track import read_run

SAMPLING = SamplingConfig(num_steps=1)


@pytest.fixture
def model_folder(tmp_path):
    torch.manual_seed(0)
    autoencoder = build_autoencoder(
        AutoencoderConfig(
            image_size=16, latent_channels=2, block_out_channels=(4, 8), norm_num_groups=2
        )
    )
    denoiser = build_denoiser(
        DenoiserConfig(
            sample_size=8,
            latent_channels=2,
            block_out_channels=(8, 16),
            num_heads=2,
            norm_num_groups=4,
        )
    )
    write_model(tmp_path / "random", autoencoder, denoiser, SAMPLING)
    return tmp_path / "random"


@pytest.fixture
def task(model_folder, art_folder, encoder_folder, tmp_path):
    return ReportTask(
        config=ReportConfig(
            num_common=1,
            judge_steps=40,
            gallery=GalleryConfig(size=16),
            judge=ClassifierConfig(image_size=16, widths=(8, 16), batch_size=8, max_noise=0.02),
            sampling=SAMPLING,
        ),
        model_folder=model_folder,
        encoder_folder=encoder_folder,
        work_folder=tmp_path / "work",
        art_folder=art_folder,
        runs_folder=tmp_path / "runs",
        progress=Unwatched(),
    )


def test_the_report_knows_real_pictures_from_random_ones(task):
    run = read_run(image_report(task))
    assert run.number("judge.drawings.held_out.top1") == 1.0
    assert run.number("drawings.common.real.top1") == 1.0
    assert run.number("drawings.common.frechet") > 0
    real, drawn = (run.number(f"neighbours.common.{x}.rmse") for x in ("real", "generated"))
    assert real < 40 < drawn
    assert real < run.number("neighbours.another_concept.rmse")
    assert run.number("neighbours.common.real.same_concept") == 1.0
    assert run.number("drawings.rare.real.top1") is None  # both drawings are of everyday things
    assert marks_table(run).row_count == 4
    assert neighbours_table(run).row_count == 5
    with Image.open(run.folder / "artifacts" / SHEET_NAME) as sheet:
        assert sheet.size[0] > SHEET_SEEDS * 16
    assert len(SHEET_PROMPTS) == 24


def test_a_spread_needs_two_seeds():
    with pytest.raises(ConfigError, match="num_seeds is 1"):
        ReportConfig(num_seeds=1)
