"""Writes a fine-tuned model as a whole pipeline folder: the new U-Net beside the base's rest.

What did not change is hard-linked where the file system allows, so that only the U-Net takes disk.
"""

import copy
import json
import os
import shutil
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from loadsheet.errors import ConfigError


def write_tuned_folder(folder: Path, unet: UNet2DConditionModel, base_folder: Path) -> Path:
    """The path of the U-Net's half-precision weights."""
    if folder.resolve() == base_folder.resolve():
        raise ConfigError(f"{folder} is the base itself; give --out another folder")
    for source in sorted(base_folder.rglob("*")):
        relative = source.relative_to(base_folder)
        if source.is_file() and relative.parts[0] != "unet":
            _link(source, folder / relative)
    half = copy.deepcopy(unet).half().to(memory_format=torch.contiguous_format)
    half.save_pretrained(folder / "unet", safe_serialization=True)
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)  # where the base lay: nobody else's business
    path.write_text(json.dumps(config, indent=2) + "\n")
    return folder / "unet" / "diffusion_pytorch_model.safetensors"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
