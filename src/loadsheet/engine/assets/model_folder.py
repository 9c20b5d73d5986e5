"""What is in a model folder, told from its small JSON files alone; weights stay unread."""

import json
from enum import StrEnum
from pathlib import Path

from loadsheet.engine.text.config import SUPPORTED_MODEL_TYPES
from loadsheet.errors import AssetError, SpecError


class ModelKind(StrEnum):
    TEXT = "text"
    IMAGE = "image"


def folder_kind(folder: Path) -> ModelKind:
    """IMAGE for a diffusers layout (model_index.json), TEXT for a supported decoder (config.json).

    Raises AssetError when files are missing or unreadable, SpecError for another kind of model.
    """
    if (folder / "model_index.json").exists():
        _check_class_name(folder / "model_index.json")
        return ModelKind.IMAGE
    if (folder / "config.json").exists():
        _check_decoder(folder)
        return ModelKind.TEXT
    raise AssetError(
        f"{folder} holds no model: expected config.json (a decoder in Hugging Face format) or "
        "model_index.json (a diffusers pipeline)"
    )


def read_object(path: Path) -> dict[str, object]:
    """A JSON object, or an AssetError that names the file."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise AssetError(f"{path} should hold a JSON object, found {type(table).__name__}")
    return table


def _check_class_name(path: Path) -> None:
    if not isinstance(read_object(path).get("_class_name"), str):
        raise AssetError(f"{path} names no pipeline class (_class_name)")


def _check_decoder(folder: Path) -> None:
    model_type = read_object(folder / "config.json").get("model_type")
    if model_type not in SUPPORTED_MODEL_TYPES:
        raise SpecError(
            f"{folder} is a {model_type!r} model; text models served are "
            f"{', '.join(SUPPORTED_MODEL_TYPES)}"
        )
    if not any(folder.glob("*.safetensors")):
        raise AssetError(f"{folder} has no *.safetensors weights; other formats are not read")
