import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.engine.text.weights import load_decoder
from loadsheet.errors import AssetError, SpecError


def change_tensors(folder, change) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@torch.inference_mode()
def logits(decoder) -> torch.Tensor:
    hidden = decoder.hidden(torch.arange(5), torch.arange(5), ContiguousAttention(decoder, 5))
    return decoder.logits(hidden)


def test_shards_load_like_one_file(folder, fp32) -> None:
    expected = logits(load_decoder(folder, fp32))
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file_name, members in shards.items():
        save_file({name: tensors[name] for name in members}, folder / file_name)
    weight_map = {name: file for file, members in shards.items() for name in members}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert torch.equal(logits(load_decoder(folder, fp32)), expected)
    (folder / "b.safetensors").unlink()
    with pytest.raises(AssetError, match=r"b\.safetensors is missing"):
        load_decoder(folder, fp32)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"x": "../../secret.safetensors"}}, "no plain file name"),
        ({"weight_map": {"x": 3}}, "no plain file name"),
        ({}, "has no weight_map"),
    ],
)
def test_an_index_may_only_point_into_its_folder(folder, fp32, index, message) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(AssetError, match=message):
        load_decoder(folder, fp32)


def test_a_tied_head_ignores_a_stored_one(make_folder, fp32) -> None:
    folder = make_folder(tie_word_embeddings=True)
    expected = logits(load_decoder(folder, fp32))
    change_tensors(folder, lambda all_: all_.update({"lm_head.weight": torch.zeros(258, 32)}))
    assert torch.equal(logits(load_decoder(folder, fp32)), expected)


def test_derived_buffers_of_old_exporters_are_ignored(folder, fp32) -> None:
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    change_tensors(folder, lambda all_: all_.update({name: torch.ones(4)}))
    load_decoder(folder, fp32)


def test_a_missing_tensor_is_named(folder, fp32) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    change_tensors(folder, lambda all_: all_.pop(name))
    with pytest.raises(SpecError, match=f"tensor {name} is missing"):
        load_decoder(folder, fp32)


def test_an_unexpected_tensor_is_named(folder, fp32) -> None:
    change_tensors(folder, lambda all_: all_.update({"model.extra.weight": torch.ones(1)}))
    with pytest.raises(SpecError, match=r"1 tensors fit .* model\.extra\.weight in model\.safe"):
        load_decoder(folder, fp32)


def test_a_wrong_shape_is_named_with_both_shapes(folder, fp32) -> None:
    name = "model.layers.0.self_attn.k_proj.weight"
    change_tensors(folder, lambda all_: all_.update({name: torch.ones(32, 32)}))
    with pytest.raises(SpecError, match=rf"{name} in model\.safetensors is \[32, 32\].*\[16, 32\]"):
        load_decoder(folder, fp32)


def test_damaged_and_missing_files_are_named(folder, fp32) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AssetError, match=r"model\.safetensors is damaged"):
        load_decoder(folder, fp32)
    path.unlink()
    with pytest.raises(AssetError, match=r"holds neither model\.safetensors nor"):
        load_decoder(folder, fp32)
    (folder / "config.json").write_text("[]")
    with pytest.raises(AssetError, match=r"config\.json holds no JSON object"):
        load_decoder(folder, fp32)
    (folder / "config.json").write_text("{")
    with pytest.raises(AssetError, match=r"config\.json cannot be read"):
        load_decoder(folder, fp32)
    (folder / "config.json").unlink()
    with pytest.raises(AssetError, match=r"config\.json is missing"):
        load_decoder(folder, fp32)
