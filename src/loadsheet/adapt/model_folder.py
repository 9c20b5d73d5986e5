"""Write and read the trained image model as a diffusers-layout folder.

Half-precision safetensors for `vae/` and `unet/`, a scheduler config, and `model_index.json`. The
text encoder is MiniLM as published, so its weights are not copied: `text_encoder/` and `tokenizer/`
are put beside the rest when the default models are installed.
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

from loadsheet.adapt.flow import NUM_TRAIN_TIMESTEPS
from loadsheet.adapt.text import TEXT_MAX_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """What a server does by default with the model."""

    num_steps: int = 20
    guidance_scale: float = 2.0
    shift: float = 1.0


def write_model(
    folder: Path,
    autoencoder: AutoencoderKL,
    denoiser: UNet2DConditionModel,
    sampling: SamplingConfig,
) -> None:
    """Write the whole folder; existing files are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    _save_half(autoencoder, folder / "vae")
    _save_half(denoiser, folder / "unet")
    FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=NUM_TRAIN_TIMESTEPS, shift=sampling.shift
    ).save_pretrained(folder / "scheduler")
    side: int = autoencoder.config["sample_size"]
    index = json.dumps(model_index(sampling, side), indent=2)
    (folder / "model_index.json").write_text(index + "\n")


def read_model(folder: Path) -> tuple[AutoencoderKL, UNet2DConditionModel]:
    """The autoencoder and the denoiser, in float32."""
    autoencoder = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    denoiser = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    return autoencoder.eval(), denoiser.eval()


def model_index(sampling: SamplingConfig, side: int) -> dict[str, Any]:
    """diffusers' index, with a `loadsheet` entry for what diffusers has no field for."""
    return {
        "_class_name": "LoadsheetTextToImagePipeline",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "BertModel"],
        "tokenizer": ["transformers", "BertTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "loadsheet": {
            "default_num_steps": sampling.num_steps,
            "default_guidance_scale": sampling.guidance_scale,
            "text_max_length": TEXT_MAX_LENGTH,
            "conditioning": "minilm-tokens+pooled",
            "native_size": [side, side],
        },
    }


def _save_half(module: AutoencoderKL | UNet2DConditionModel, folder: Path) -> None:
    half = copy.deepcopy(module).half().to(memory_format=torch.contiguous_format)
    half.save_pretrained(folder, safe_serialization=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)  # where a loaded module came from: nobody else's business
    path.write_text(json.dumps(config, indent=2) + "\n")
