"""Writes an adapter as diffusers does: `pytorch_lora_weights.safetensors` and a model card.

The file loads with `pipe.load_lora_weights(folder)`, with `unet.load_lora_adapter(…)`, and in this
server. Its metadata hold peft's configuration and the SHA-256 of the base U-Net's weights: an
adapter is a difference, and means nothing over other weights.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from loadsheet.engine.image.lora_file import LORA_FILE

BASE_KEY = "loadsheet_base_unet_sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterCard:
    """What the model card says. `sources` name data and licences, one per line."""

    title: str
    base_name: str
    method: str
    num_steps: int
    batch_size: int
    learning_rate: float
    seed: int
    licence: str
    sources: tuple[str, ...]


def base_sha256(pipeline_folder: Path) -> str:
    """One hash over the U-Net's weight files of a pipeline folder, in name order."""
    digest = hashlib.sha256()
    for file in sorted((pipeline_folder / "unet").glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def write_adapter(
    folder: Path, unet: UNet2DConditionModel, base_folder: Path, card: AdapterCard
) -> Path:
    """Save the U-Net's peft adapter in half precision; the weights' path."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = {name: t.detach().half() for name, t in get_peft_model_state_dict(unet).items()}
    (config,) = unet.peft_config.values()
    StableDiffusionLoraLoaderMixin.save_lora_weights(
        folder, unet_lora_layers=layers, unet_lora_adapter_metadata=config.to_dict()
    )
    path = folder / LORA_FILE
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
    tensors: dict[str, torch.Tensor] = load_file(path)
    save_file(tensors, path, metadata=metadata | {BASE_KEY: base_sha256(base_folder)})
    (folder / "README.md").write_text(_card_text(card), encoding="utf-8")
    return path


def read_base_sha256(folder: Path) -> str | None:
    """The base that an adapter was trained over, as its file says."""
    with safe_open(folder / LORA_FILE, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
    return metadata.get(BASE_KEY)


def _card_text(card: AdapterCard) -> str:
    sources = "\n".join(f"- {source}" for source in card.sources)
    return f"""---
license: {card.licence}
tags: [lora, diffusers, text-to-image]
base_model: {card.base_name}
---
# {card.title}

A LoRA over the U-Net of `{card.base_name}`, trained by `loadsheet adapt image`: method
`{card.method}`, {card.num_steps} steps of {card.batch_size} pictures, learning rate
{card.learning_rate:g}, seed {card.seed}. The weights' metadata name the exact base by SHA-256.

Load it with `loadsheet serve --image BASE --image-adapter NAME=THIS_FOLDER`, or in diffusers with
`pipe.load_lora_weights(THIS_FOLDER)`.

Trained on:
{sources}
"""
