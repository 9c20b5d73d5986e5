"""Tiny random decoders, one per family, and a byte tokenizer; made once."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.openvino.text_model import OpenVinoTextModel
from loadsheet.engine.openvino.weight_file import read_weights, write_weights
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import Decoder, DecoderWeights, Layer
from loadsheet.engine.text.linear import PlainLinear, build_linear
from loadsheet.engine.text.tokenizer import FolderTokenizer

FAMILIES = {
    "llama-gqa": {"model_type": "llama", "num_key_value_heads": 2},
    "llama-mqa": {"model_type": "llama", "num_key_value_heads": 1},
    "qwen2": {"model_type": "qwen2", "num_key_value_heads": 4},
}
SIZES = {
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}


def random_weights(config: DecoderConfig, seed: int, build=build_linear) -> DecoderWeights:
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale * shape[-1] ** -0.5

    size, heads_out = config.hidden_size, config.num_heads + 2 * config.num_kv_heads
    qkv_rows = heads_out * config.head_dim
    layers = tuple(
        Layer(
            attention_norm_D=1 + rand(size),
            qkv=build(
                rand(qkv_rows, size, scale=2), rand(qkv_rows) if config.has_qkv_bias else None
            ),
            out=build(rand(size, size), None),
            ffn_norm_D=1 + rand(size),
            gate_up=build(rand(2 * config.ffn_size, size), None),
            down=build(rand(size, config.ffn_size), None),
        )
        for _ in range(config.num_layers)
    )
    return DecoderWeights(
        embedding_VD=rand(config.vocab_size, size, scale=size**0.5),
        layers=layers,
        final_norm_D=1 + rand(size),
        head=build(rand(config.vocab_size, size, scale=3), None),
        num_bytes=0,
    )


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def config(request: pytest.FixtureRequest) -> DecoderConfig:
    return DecoderConfig.from_hf(SIZES | FAMILIES[request.param])


@pytest.fixture(scope="session")
def decoder(config: DecoderConfig) -> Decoder:
    return Decoder(config, random_weights(config, seed=5))


@pytest.fixture(scope="session")
def openvino_model(
    config: DecoderConfig, tmp_path_factory: pytest.TempPathFactory
) -> OpenVinoTextModel:
    """With the decoder's weights."""
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    write_weights(random_weights(config, 5, PlainLinear), "fp32", path)
    return OpenVinoTextModel(
        read_weights(path, config),
        precision="fp32",
        num_blocks=200,
        shares={1.0: CpuShare(num_threads=1)},
    )


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FolderTokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(
        models.BPE(vocab={byte: idx for idx, byte in enumerate(alphabet)}, merges=[])
    )
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"eos_token_id": None}))
    return FolderTokenizer(folder)
