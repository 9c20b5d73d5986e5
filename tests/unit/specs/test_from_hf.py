import json

import pytest

from loadsheet.errors import SpecError
from loadsheet.specs.decoder import DecoderSpec, GroupedAttention
from loadsheet.specs.from_hf import IMAGE, TEXT, from_folder, from_hf
from loadsheet.specs.unet import UNetSpec

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}


def test_llama_1_is_read():
    spec = from_hf(LLAMA)
    assert isinstance(spec, DecoderSpec)
    (group,) = spec.layers
    assert group.count == 32
    assert group.attention == GroupedAttention(heads=32, kv_heads=32, head_dim=128)


def test_unknown_model_type_names_the_nearest():
    with pytest.raises(SpecError, match="'llamma' is not modelled; nearest: llama"):
        from_hf({**LLAMA, "model_type": "llamma"})


def test_unknown_class_names_the_nearest():
    with pytest.raises(SpecError, match="nearest: UNet2DConditionModel"):
        from_hf({"_class_name": "UNet2DCondition"})


@pytest.mark.parametrize("missing", [key for key in LLAMA if key != "model_type"])
def test_every_needed_key_is_asked_for(missing):
    fields = {key: value for key, value in LLAMA.items() if key != missing}
    with pytest.raises(SpecError, match=missing):
        from_hf(fields)


def test_heads_must_share_evenly():
    with pytest.raises(SpecError, match="32 heads cannot share 5"):
        from_hf({**LLAMA, "num_key_value_heads": 5})
    with pytest.raises(SpecError, match="hidden_size 4096 is not a multiple"):
        from_hf({**LLAMA, "num_attention_heads": 30})


def test_multimodal_files_are_unwrapped():
    inner = {**LLAMA, "model_type": "gemma3_text", "sliding_window": 512}
    spec = from_hf({"model_type": "gemma3", "text_config": inner})
    assert spec == from_hf(inner)


def test_bare_model_class_has_no_head():
    assert not from_hf({**LLAMA, "architectures": ["LlamaModel"]}).has_head
    assert from_hf({**LLAMA, "architectures": ["LlamaForCausalLM"]}).has_head


def test_gemma3_alternates_five_to_one():
    fields = {**LLAMA, "model_type": "gemma3_text", "num_hidden_layers": 62, "sliding_window": 1024}
    windows = {group.attention.window: group.count for group in from_hf(fields).layers}
    assert windows == {1024: 52, None: 10}


def test_folder_of_a_pipeline(tmp_path):
    unet = {
        "_class_name": "UNet2DConditionModel",
        "block_out_channels": [32, 64],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "cross_attention_dim": 48,
    }
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text(json.dumps(unet))
    (tmp_path / "model_index.json").write_text(json.dumps({"unet": ["diffusers", "X"]}))
    assert isinstance(from_folder(tmp_path)["unet"], UNetSpec)


def test_folder_of_one_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert from_folder(tmp_path)["model"] == from_hf(LLAMA)


def test_broken_files_are_refused(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        from_folder(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SpecError, match="not JSON"):
        from_folder(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(SpecError, match="no table"):
        from_folder(tmp_path)


def test_unmodelled_unet_parts_are_refused():
    unet = {
        "_class_name": "UNet2DConditionModel",
        "block_out_channels": [32],
        "down_block_types": ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"],
        "cross_attention_dim": 48,
    }
    with pytest.raises(SpecError, match="image"):
        from_hf({**unet, "addition_embed_type": "image"})
    with pytest.raises(SpecError, match="mid_block_type"):
        from_hf({**unet, "mid_block_type": "UNetMidBlock2D"})
    with pytest.raises(SpecError, match="down_block_types needs 1"):
        from_hf({**unet, "down_block_types": ["KDownBlock2D"]})


def test_families_are_many():
    assert len(TEXT) >= 25
    assert len(IMAGE) >= 20
