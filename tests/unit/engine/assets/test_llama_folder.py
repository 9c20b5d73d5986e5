import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from loadsheet.engine.assets.gguf_file import read_gguf
from loadsheet.engine.assets.llama_folder import (
    build_llama_folder,
    hf_name,
    model_config,
    rotary_row_order,
)
from loadsheet.engine.assets.progress import AssetProgress, AssetStage, StageMeter
from loadsheet.errors import AssetError


@pytest.fixture
def parts(tiny_gguf: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    shutil.copyfile(tiny_gguf, folder / "weights.gguf")
    (folder / "LICENSE").write_text("Apache License")
    return folder


def _rounded(weight: np.ndarray, name: str) -> torch.Tensor:
    """What packing and unpacking leaves of an original weight."""
    if weight.ndim == 2:
        kind = gguf.GGMLQuantizationType.Q8_0 if "embed" in name else gguf.GGMLQuantizationType.Q4_1
        weight = gguf.quants.dequantize(gguf.quants.quantize(weight, kind), kind)
    return torch.from_numpy(weight).to(torch.bfloat16)


def test_weights_come_back_in_hugging_face_order(
    parts: Path, tmp_path: Path, tiny_llama: Any
) -> None:
    build_llama_folder(parts, tmp_path / "model", StageMeter(asset="tiny", on_progress=None))
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    assert set(tensors) == set(tiny_llama.weights)
    for name, weight in tiny_llama.weights.items():
        assert torch.equal(tensors[name], _rounded(weight, name)), name


def test_transformers_loads_the_folder(parts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    build_llama_folder(parts, folder, StageMeter(asset="tiny", on_progress=None))
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.dtype == torch.bfloat16
    assert model.generation_config.eos_token_id == 2
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer.encode("the end")) == "the end"
    assert (
        tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi"
    )


def test_the_licence_travels_along(parts: Path, tmp_path: Path) -> None:
    build_llama_folder(parts, tmp_path / "model", StageMeter(asset="tiny", on_progress=None))
    assert (tmp_path / "model" / "LICENSE").read_text() == "Apache License"


def test_progress_ends_at_the_whole_file(parts: Path, tmp_path: Path) -> None:
    seen: list[AssetProgress] = []
    build_llama_folder(parts, tmp_path / "model", StageMeter(asset="tiny", on_progress=seen.append))
    assert all(progress.stage is AssetStage.CONVERT for progress in seen)
    assert seen[-1].done_bytes == seen[-1].total_bytes > 0


def test_config_by_hand(tiny_gguf: Path) -> None:
    config = model_config(read_gguf(tiny_gguf))
    assert config["rms_norm_eps"] == 1e-5  # not float32's 9.99999975e-06
    assert config["head_dim"] == 16
    assert config["num_key_value_heads"] == 2
    assert config["tie_word_embeddings"] is True
    assert json.loads(json.dumps(config)) == config


def test_rotary_order_by_hand() -> None:
    # one head of 6: the file holds rows (0 3 1 4 2 5) of ours, so ours are its (0 2 4 1 3 5)
    assert rotary_row_order(6, 1).tolist() == [0, 2, 4, 1, 3, 5]
    assert rotary_row_order(8, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_unknown_tensors_are_refused() -> None:
    assert hf_name("output.weight") == "lm_head.weight"
    with pytest.raises(AssetError, match=r"blk\.0\.attn_q\.bias"):
        hf_name("blk.0.attn_q.bias")


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "weights.gguf", "gpt2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(AssetError, match="gpt2, expected llama"):
        build_llama_folder(tmp_path, tmp_path / "out", StageMeter(asset="x", on_progress=None))
