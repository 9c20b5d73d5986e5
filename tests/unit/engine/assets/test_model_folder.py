import json
from pathlib import Path

import pytest

from loadsheet.engine.assets.model_folder import ModelKind, folder_kind
from loadsheet.errors import AssetError, SpecError


def _write(folder: Path, name: str, table: object) -> None:
    (folder / name).write_text(json.dumps(table))


def test_a_decoder_is_text_without_reading_weights(tmp_path: Path) -> None:
    _write(tmp_path, "config.json", {"model_type": "llama"})
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"not read")
    assert folder_kind(tmp_path) is ModelKind.TEXT


def test_a_pipeline_is_an_image_model(tmp_path: Path) -> None:
    _write(tmp_path, "model_index.json", {"_class_name": "StableDiffusionPipeline"})
    _write(tmp_path, "config.json", {})
    assert folder_kind(tmp_path) is ModelKind.IMAGE


def test_another_architecture_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "config.json", {"model_type": "bert"})
    with pytest.raises(SpecError, match=r"'bert' model; .*llama"):
        folder_kind(tmp_path)


def test_a_decoder_without_safetensors_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "config.json", {"model_type": "llama"})
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(AssetError, match=r"no \*\.safetensors"):
        folder_kind(tmp_path)


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"config\.json .* or model_index\.json"):
        folder_kind(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_damaged_settings_name_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(AssetError, match=r"config\.json"):
        folder_kind(tmp_path)


def test_a_pipeline_without_class_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "model_index.json", {"unet": ["diffusers", "X"]})
    with pytest.raises(AssetError, match="_class_name"):
        folder_kind(tmp_path)
