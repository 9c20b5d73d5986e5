"""Folders open, refuse with the file's name, and mean what diffusers means by them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import AssetError, SpecError
from loadsheet.runtime.payload import ImagePayload

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)


def ignore_step(step_idx: int, num_steps: int) -> None: ...


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def sd_copy(sd_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sd_folder, tmp_path / "copy"))


@pytest.fixture
def our_copy(our_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(our_folder, tmp_path / "copy"))


def test_opened_folders_know_their_sizes_defaults_and_weights(
    sd_pipeline: ImagePipeline, our_pipeline: ImagePipeline
) -> None:
    # 16 latents × 8 = 128 pixels; two U-Net levels make strides of 16 from half of it
    sides = range(64, 129, 16)
    assert sd_pipeline.sizes[0] == (128, 128)
    assert sorted(sd_pipeline.sizes) == [(w, h) for w in sides for h in sides]
    assert sd_pipeline.note.startswith("PNDMScheduler is not implemented")
    assert (sd_pipeline.default_num_steps, sd_pipeline.default_guidance_scale) == (30, 7.5)
    assert our_pipeline.sizes == ((64, 64),)
    assert our_pipeline.note == ""
    assert (our_pipeline.default_num_steps, our_pipeline.default_guidance_scale) == (20, 3.0)
    assert our_pipeline.latent_shape(64, 64) == (8, 8, 8)


def test_weight_bytes_count_what_was_stored(our_folder: Path, our_pipeline: ImagePipeline) -> None:
    stored = {
        file.parent.name: sum(tensor.nbytes for tensor in load_file(file).values())
        for file in our_folder.glob("*/*.safetensors")
    }
    # BERT also holds 48 position ids and token types of 8 bytes, which are not stored
    stored["text_encoder"] += 2 * 48 * 8
    assert our_pipeline.weight_bytes == stored


def test_noise_depends_on_the_seed_alone(our_pipeline: ImagePipeline) -> None:
    first = our_pipeline.unit_noise(5, 64, 64)
    torch.manual_seed(99)
    assert torch.equal(our_pipeline.unit_noise(5, 64, 64), first)
    assert not torch.equal(our_pipeline.unit_noise(6, 64, 64), first)
    assert first.std().item() == pytest.approx(1, abs=0.15)


# diffusers converts tensors the way numpy 2 warns about
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_whole_image_equals_the_diffusers_pipeline(
    sd_folder: Path, sd_pipeline: ImagePipeline
) -> None:
    payload = ImagePayload(
        prompt="a red fox",
        negative_prompt="blur",
        width=128,
        height=64,
        num_steps=5,
        guidance_scale=4.0,
        seed=7,
    )
    published = StableDiffusionPipeline.from_pretrained(
        str(sd_folder), safety_checker=None, low_cpu_mem_usage=False
    )
    published.scheduler = EulerDiscreteScheduler.from_config(published.scheduler.config)
    published.set_progress_bar_config(disable=True)
    expected = published(
        prompt=payload.prompt,
        negative_prompt=payload.negative_prompt,
        width=128,
        height=64,
        num_inference_steps=5,
        guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="np",
    ).images[0]
    pixels = draw(sd_pipeline, payload, ignore_step)
    assert pixels.shape == (64, 128, 3)
    assert pixels.std() > 1  # a picture, not a flat field
    assert np.abs(pixels / 255 - expected).max() < 0.5 / 255 + 1e-4


@pytest.mark.parametrize(
    "missing",
    [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "text_encoder/config.json",
        "tokenizer",
    ],
)
def test_a_missing_file_is_named(our_copy: Path, missing: str) -> None:
    path = our_copy / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(AssetError, match=f"{missing} is missing"):
        open_pipeline(our_copy, CPU_FP32)


def test_weights_that_are_not_used_load_in_silence(
    our_copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (file,) = (our_copy / "text_encoder").glob("*.safetensors")
    pooler = {"pooler.dense.weight": torch.zeros(32, 32), "pooler.dense.bias": torch.zeros(32)}
    save_file({**load_file(file), **pooler}, file, metadata={"format": "pt"})
    open_pipeline(our_copy, CPU_FP32)
    assert capfd.readouterr() == ("", "")


def test_pickled_weights_are_not_read(our_copy: Path) -> None:
    weights = our_copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(AssetError, match=r"unet has no \.safetensors file; pickled weights"):
        open_pipeline(our_copy, CPU_FP32)


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_damaged_weights_are_named(our_copy: Path, component: str) -> None:
    (file,) = (our_copy / component).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(AssetError, match=f"{component} cannot be loaded"):
        open_pipeline(our_copy, CPU_FP32)


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_incomplete_weights_are_refused(our_copy: Path, component: str) -> None:
    (file,) = (our_copy / component).glob("*.safetensors")
    tensors = load_file(file)
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(AssetError, match=f"{component} lacks weights, among them .*{lost}"):
        open_pipeline(our_copy, CPU_FP32)


def test_broken_json_is_named(our_copy: Path) -> None:
    (our_copy / "model_index.json").write_text("{")
    with pytest.raises(AssetError, match=r"model_index\.json cannot be read"):
        open_pipeline(our_copy, CPU_FP32)
    (our_copy / "model_index.json").write_text("[]")
    with pytest.raises(AssetError, match=r"model_index\.json holds list"):
        open_pipeline(our_copy, CPU_FP32)


def test_a_broken_tokenizer_is_named(our_copy: Path) -> None:
    (our_copy / "tokenizer" / "tokenizer.json").write_text("{")
    with pytest.raises(AssetError, match="tokenizer cannot be loaded"):
        open_pipeline(our_copy, CPU_FP32)


def test_other_pipelines_are_refused_with_what_is_supported(our_copy: Path) -> None:
    edit_json(our_copy / "model_index.json", _class_name="FluxPipeline")
    with pytest.raises(
        SpecError, match="FluxPipeline; supported are StableDiffusionPipeline, Stable"
    ):
        open_pipeline(our_copy, CPU_FP32)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("model_index.json", {"unet": ["diffusers", "DiT"]}, "with unet DiT; supported is UNet2D"),
        ("model_index.json", {"vae": None}, "with vae None; supported is AutoencoderKL"),
        ("model_index.json", {"loadsheet": {"text_max_length": 3}}, 'needs "loadsheet" with'),
        ("unet/config.json", {"sample_size": None}, "has no sample_size"),
        ("unet/config.json", {"sample_size": 16}, "native_size .64, 64., unet and vae make .128"),
    ],
)
def test_folders_that_do_not_fit_the_layout_are_refused(
    our_copy: Path, file: str, changes: dict[str, object], message: str
) -> None:
    edit_json(our_copy / file, **changes)
    with pytest.raises(SpecError, match=message):
        open_pipeline(our_copy, CPU_FP32)


def test_other_conditioning_is_refused(our_copy: Path) -> None:
    index = our_copy / "model_index.json"
    settings = {**json.loads(index.read_text())["loadsheet"], "conditioning": "smell"}
    edit_json(index, loadsheet=settings)
    with pytest.raises(SpecError, match="conditioning is 'smell'; supported is 'minilm-tokens"):
        open_pipeline(our_copy, CPU_FP32)


def test_inpainting_networks_are_refused(sd_copy: Path) -> None:
    config = json.loads((sd_copy / "unet" / "config.json").read_text())
    options = {key: value for key, value in config.items() if not key.startswith("_")}
    UNet2DConditionModel(**{**options, "in_channels": 9}).save_pretrained(sd_copy / "unet")
    with pytest.raises(SpecError, match="takes 9 and gives 4 channels, the VAE has 4"):
        open_pipeline(sd_copy, CPU_FP32)
