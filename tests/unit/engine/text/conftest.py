"""Tiny random decoders in Hugging Face folders, made without transformers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from loadsheet.engine.torch_device import Placement

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
SPECIAL = ("<eos>", "<start>")
FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
TEMPLATE = (
    "{% for m in messages %}<start>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
FAMILIES: dict[str, dict[str, object]] = {
    "llama-untied": {},
    "llama-tied": {"tie_word_embeddings": True},
    "llama-head-dim": {"head_dim": 16},
    "llama-3-rope": {"rope_parameters": LLAMA3_ROPE},
    "llama-linear-rope": {
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
    },
    "llama-bias": {"attention_bias": True},
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "qwen2": {"model_type": "qwen2"},
}


def tiny_config(**changes: object) -> dict[str, object]:
    return {
        "model_type": "llama",
        "vocab_size": len(BYTES) + len(SPECIAL),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": False,
        "eos_token_id": len(BYTES),
    } | changes


def tiny_tensors(config: dict[str, object], seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights under their Hugging Face names, scaled so that logits spread over several units."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * shape[-1] ** -0.5

    size, ffn, vocab = (
        int(str(config[name])) for name in ("hidden_size", "intermediate_size", "vocab_size")
    )
    heads, kv_heads = (
        int(str(config["num_attention_heads"])),
        int(str(config["num_key_value_heads"])),
    )
    head_dim = int(str(config.get("head_dim", size // heads)))
    rows = {"q": heads * head_dim, "k": kv_heads * head_dim, "v": kv_heads * head_dim}
    tensors = {"model.embed_tokens.weight": rand(vocab, size) * size**0.5}
    if not config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = 3 * rand(vocab, size)
    tensors["model.norm.weight"] = 1 + 0.1 * rand(size)
    for idx in range(int(str(config["num_hidden_layers"]))):
        layer = f"model.layers.{idx}"
        for part, num_rows in rows.items():
            tensors[f"{layer}.self_attn.{part}_proj.weight"] = 2 * rand(num_rows, size)
            if config["model_type"] == "qwen2" or config.get("attention_bias"):
                tensors[f"{layer}.self_attn.{part}_proj.bias"] = rand(num_rows)
        tensors[f"{layer}.self_attn.o_proj.weight"] = rand(size, heads * head_dim)
        if config.get("attention_bias"):
            tensors[f"{layer}.self_attn.o_proj.bias"] = rand(size)
        tensors[f"{layer}.mlp.gate_proj.weight"] = rand(ffn, size)
        tensors[f"{layer}.mlp.up_proj.weight"] = rand(ffn, size)
        tensors[f"{layer}.mlp.down_proj.weight"] = rand(size, ffn)
        tensors[f"{layer}.input_layernorm.weight"] = 1 + 0.1 * rand(size)
        tensors[f"{layer}.post_attention_layernorm.weight"] = 1 + 0.1 * rand(size)
    return tensors


def byte_tokenizer() -> Tokenizer:
    """One token per byte, so that text and token ids are easy to relate."""
    vocab = {byte: idx for idx, byte in enumerate(BYTES)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return tokenizer


def write_folder(folder: Path, config: dict[str, object], seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tiny_tensors(config, seed), folder / "model.safetensors")
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    tokenizer_config = {"eos_token": "<eos>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return folder


MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """`make_folder(seed=0, **config changes)` → a new tiny model folder."""

    def make(seed: int = 0, **changes: object) -> Path:
        name = f"model{len(list(tmp_path.iterdir()))}"
        return write_folder(tmp_path / name, tiny_config(**changes), seed)

    return make


@pytest.fixture
def family_folder(make_folder: MakeFolder) -> Callable[[str], Path]:
    """A tiny model of one of `FAMILIES`."""
    return lambda family: make_folder(**FAMILIES[family])


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    return make_folder()


@pytest.fixture
def fp32() -> Placement:
    return FP32
