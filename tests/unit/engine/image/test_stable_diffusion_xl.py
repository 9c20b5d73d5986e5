"""The XL layout against diffusers' own pipeline, and folders that are not what they seem."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from loadsheet.engine.image.conditioning import Prompts
from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import SpecError
from loadsheet.runtime.payload import ImagePayload

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
HALF_A_LEVEL = 0.5 / 255


# diffusers converts tensors the way numpy 2 warns about
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("negative_prompt", ["", "blur"])
def test_whole_image_equals_the_diffusers_pipeline(
    xl_folder: Path, xl_pipeline: ImagePipeline, negative_prompt: str
) -> None:
    payload = ImagePayload(
        prompt="a red fox",
        negative_prompt=negative_prompt,
        width=128,
        height=64,
        num_steps=4,
        guidance_scale=4.0,
        seed=7,
    )
    published = StableDiffusionXLPipeline.from_pretrained(
        str(xl_folder), add_watermarker=False, low_cpu_mem_usage=False
    )
    published.set_progress_bar_config(disable=True)
    expected = published(
        prompt=payload.prompt,
        negative_prompt=negative_prompt or None,
        width=128,
        height=64,
        num_inference_steps=4,
        guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="np",
    ).images[0]
    pixels = draw(xl_pipeline, payload, lambda i, n: None)
    assert pixels.std() > 1  # a picture, not a flat field
    assert np.abs(pixels / 255 - expected).max() < HALF_A_LEVEL + 1e-4


def test_no_prompt_is_all_zeros_and_sizes_are_told(xl_pipeline: ImagePipeline) -> None:
    given = xl_pipeline.encode(Prompts(texts=("", "a fox"), width=96, height=64)).tensors
    assert not given["encoder_hidden_states"][0].any()
    assert not given["added_cond_kwargs.text_embeds"][0].any()
    assert given["encoder_hidden_states"][1].any()
    assert given["encoder_hidden_states"].shape == (2, 77, 16 + 24)
    assert given["added_cond_kwargs.time_ids"].tolist() == [[64, 96, 0, 0, 64, 96]] * 2


@pytest.fixture
def copy(xl_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(xl_folder, tmp_path / "copy"))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_empty_prompt_is_encoded_where_the_folder_wants_it(copy: Path) -> None:
    edit_json(copy / "model_index.json", force_zeros_for_empty_prompt=False)
    given = open_pipeline(copy, CPU_FP32).encode(Prompts(texts=("",), width=64, height=64))
    assert given.tensors["encoder_hidden_states"].any()


def test_a_refiner_is_refused(copy: Path) -> None:
    config = json.loads((copy / "unet" / "config.json").read_text())
    edit_json(copy / "unet" / "config.json", addition_time_embed_dim=7)
    with pytest.raises(SpecError, match="refiners are not supported"):
        open_pipeline(copy, CPU_FP32)
    assert config["addition_time_embed_dim"] == 8
