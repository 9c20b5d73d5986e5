"""A trained decoder as a Hugging Face folder, which our engine and transformers read alike."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from tokenizers import Tokenizer

from loadsheet.adapt.text_model import TextModel
from loadsheet.adapt.text_tokenizer import END_OF_TEXT, write_tokenizer
from loadsheet.engine.text.config import DecoderConfig


def write_text_model(folder: Path, model: TextModel, tokenizer: Tokenizer) -> None:
    """config.json, generation_config.json, model.safetensors (fp32) and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    end_id = tokenizer.token_to_id(END_OF_TEXT)
    ends = {"bos_token_id": end_id, "eos_token_id": end_id}
    _write(folder / "config.json", hf_config(model.config) | ends)
    _write(folder / "generation_config.json", ends)
    # format "pt": transformers reads no file without it
    save_file(model.named_tensors(), folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(tokenizer, folder, model.config.max_context_tokens)


def hf_config(config: DecoderConfig) -> dict[str, object]:
    """The config.json of a Llama; `DecoderConfig.from_hf` is its inverse."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "max_position_embeddings": config.max_context_tokens,
        "tie_word_embeddings": config.has_tied_head,
        "attention_bias": config.has_qkv_bias,
        "mlp_bias": False,
        "dtype": "float32",
    }


def _write(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
