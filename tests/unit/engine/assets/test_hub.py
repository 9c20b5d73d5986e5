import json
from pathlib import Path

import pytest

from loadsheet.engine.assets.hub import hub_kind, weight_patterns
from loadsheet.engine.assets.model_folder import ModelKind
from loadsheet.errors import AssetError


def test_a_decoder_needs_its_own_shards_only(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert weight_patterns(tmp_path) == ["model.safetensors", "model-*.safetensors"]


def test_a_pipeline_needs_its_components_only(tmp_path: Path) -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "image_encoder": [None, None],
        "text_encoder_2": [None, None],
        "vae": ["diffusers", "AutoencoderKL"],
        "requires_safety_checker": True,
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert weight_patterns(tmp_path) == ["unet/*.safetensors", "vae/*.safetensors"]


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(AssetError, match="org/old publishes no safetensors"):
        hub_kind(tmp_path, "org/old")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert hub_kind(tmp_path, "org/old") is ModelKind.TEXT
