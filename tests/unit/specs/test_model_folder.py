"""Folders as entries: a decoder's, our own pipeline's, and what is missing."""

import json
from pathlib import Path

import pytest

from loadsheet.errors import SpecError
from loadsheet.specs.model_folder import read_entry
from loadsheet.specs.pipeline import PipelineSpec, Role

UNET = {
    "_class_name": "UNet2DConditionModel",
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [32, 64],
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "sample_size": [8, 16],
}
CLIP = {
    "model_type": "clip_text_model",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 20,
}
T5 = {
    "model_type": "t5",
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 1,
    "num_heads": 4,
    "vocab_size": 100,
}


def folder(path: Path, settings: dict | None = None, **parts: dict) -> Path:
    index = {name: ["diffusers", "x"] for name in parts}
    (path / "model_index.json").write_text(json.dumps({**index, "loadsheet": settings or {}}))
    for name, config in parts.items():
        (path / name).mkdir()
        (path / name / "config.json").write_text(json.dumps(config))
    return path


def test_a_pipeline_folder_reads_what_its_files_say(tmp_path) -> None:
    entry = read_entry(folder(tmp_path, unet=UNET, text_encoder=CLIP), "tiny")
    pipeline = entry.model
    assert isinstance(pipeline, PipelineSpec)
    assert (entry.name, entry.kind, entry.checked) == ("tiny", "pipeline", "file")
    assert (pipeline.width, pipeline.height) == (16, 8)
    assert (pipeline.steps, pipeline.is_guided, pipeline.text_tokens) == (50, True, 20)
    assert [part.role for part in entry.components()] == [Role.TEXT_ENCODER, Role.DENOISER]


def test_own_settings_replace_the_usual_loop(tmp_path) -> None:
    settings = {"default_num_steps": 7, "text_max_length": 12, "native_size": [32, 16]}
    pipeline = read_entry(folder(tmp_path, settings, unet=UNET, text_encoder=T5)).model
    assert isinstance(pipeline, PipelineSpec)
    assert (pipeline.steps, pipeline.text_tokens, pipeline.width) == (7, 12, 32)


def test_a_text_model_folder_is_named_as_the_folder(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(T5))
    assert read_entry(tmp_path).name == tmp_path.name


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"text_encoder": CLIP}, "no unet or transformer"),
        ({"unet": UNET, "text_encoder": T5}, "text_max_length"),
        ({"unet": {**UNET, "sample_size": None}}, "no sample_size"),
    ],
)
def test_what_is_missing_is_said(tmp_path, parts: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_entry(folder(tmp_path, **parts))
