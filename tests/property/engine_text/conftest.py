"""Tiny random decoders, one per family, and a byte tokenizer; made once."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.decoder import Decoder, DecoderWeights, Layer
from loadsheet.engine.text.linear import build_linear
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


def random_decoder(config: DecoderConfig, seed: int) -> Decoder:
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale * shape[-1] ** -0.5

    size, heads_out = config.hidden_size, config.num_heads + 2 * config.num_kv_heads
    qkv_rows = heads_out * config.head_dim
    layers = tuple(
        Layer(
            attention_norm_D=1 + rand(size),
            qkv=build_linear(
                rand(qkv_rows, size, scale=2), rand(qkv_rows) if config.has_qkv_bias else None
            ),
            out=build_linear(rand(size, size)),
            ffn_norm_D=1 + rand(size),
            gate_up=build_linear(rand(2 * config.ffn_size, size)),
            down=build_linear(rand(size, config.ffn_size)),
        )
        for _ in range(config.num_layers)
    )
    weights = DecoderWeights(
        embedding_VD=rand(config.vocab_size, size, scale=size**0.5),
        layers=layers,
        final_norm_D=1 + rand(size),
        head=build_linear(rand(config.vocab_size, size, scale=3)),
        num_bytes=0,
    )
    return Decoder(config, weights)


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return random_decoder(DecoderConfig.from_hf(SIZES | FAMILIES[request.param]), seed=5)


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
