"""A quantised llama-family GGUF file → a plain bfloat16 Hugging Face folder.

Two traps. ggml's llama rotates neighbouring pairs of a head's numbers, Hugging Face rotates halves,
so the converter to GGUF permuted the rows of every Q and K projection: undone here on the packed
rows, before they are unpacked. And the pre-tokenizer travels only as a name: `bpe_tokenizer`.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadsheet.engine.assets.bpe_tokenizer import tokenizer_config, tokenizer_table
from loadsheet.engine.assets.dequantise import dequantise, to_bfloat16
from loadsheet.engine.assets.gguf_file import GgufFile, GgufTensor, read_gguf
from loadsheet.engine.assets.progress import AssetStage, StageMeter
from loadsheet.engine.assets.safetensors_file import Bfloat16Tensor, write_safetensors
from loadsheet.errors import AssetError

_PART_ROWS = 4096  # bounds memory: 4096 rows of 1536 numbers are 25 MB in float32

_TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER_PATTERN = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


def build_llama_folder(source_dir: Path, target_dir: Path, meter: StageMeter) -> None:
    """`source_dir` holds weights.gguf and LICENSE; `target_dir` becomes the model folder."""
    gguf = read_gguf(source_dir / "weights.gguf")
    if gguf.text("general.architecture") != "llama":
        raise AssetError(f"weights.gguf is {gguf.text('general.architecture')}, expected llama")
    target_dir.mkdir(parents=True, exist_ok=True)
    _write_weights(gguf, target_dir / "model.safetensors", meter)
    _write_json(target_dir / "config.json", model_config(gguf))
    _write_json(target_dir / "generation_config.json", _token_ids(gguf))
    _write_json(target_dir / "tokenizer.json", tokenizer_table(gguf))
    _write_json(target_dir / "tokenizer_config.json", tokenizer_config(gguf))
    template = gguf.text("tokenizer.chat_template")
    (target_dir / "chat_template.jinja").write_text(template, "utf-8")
    shutil.copyfile(source_dir / "LICENSE", target_dir / "LICENSE")


def model_config(gguf: GgufFile) -> dict[str, object]:
    """config.json of a LlamaForCausalLM from the GGUF metadata."""
    hidden_size = gguf.integer("llama.embedding_length")
    num_heads = gguf.integer("llama.attention.head_count")
    theta = gguf.number("llama.rope.freq_base")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "hidden_size": hidden_size,
        "intermediate_size": gguf.integer("llama.feed_forward_length"),
        "num_hidden_layers": gguf.integer("llama.block_count"),
        "num_attention_heads": num_heads,
        "num_key_value_heads": gguf.integer("llama.attention.head_count_kv"),
        "head_dim": hidden_size // num_heads,
        "vocab_size": gguf.integer("llama.vocab_size"),
        "max_position_embeddings": gguf.integer("llama.context_length"),
        # kept as float32 in GGUF: 9.99999975e-06 was 1e-05
        "rms_norm_eps": float(str(np.float32(gguf.number(_EPSILON_KEY)))),
        "rope_theta": theta,  # read by other loaders; transformers 5 reads the next
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in gguf.tensors),
        **_token_ids(gguf),
    }


_EPSILON_KEY = "llama.attention.layer_norm_rms_epsilon"


def hf_name(name: str) -> str:
    """`'blk.3.attn_q.weight'` → `'model.layers.3.self_attn.q_proj.weight'`."""
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    match = _LAYER_PATTERN.fullmatch(name)
    if match is None or match.group(2) not in _LAYER_NAMES:
        raise AssetError(f"weights.gguf has an unknown tensor {name}")
    return f"model.layers.{match.group(1)}.{_LAYER_NAMES[match.group(2)]}.weight"


def rotary_row_order(num_rows: int, num_heads: int) -> npt.NDArray[np.intp]:
    """Row r of the Hugging Face Q or K is row `order[r]` of the GGUF one.

    Within a head of size D the file has (0, D/2, 1, D/2+1, …), ours has (0, 1, …, D-1).
    """
    head_dim = num_rows // num_heads
    order = np.arange(num_rows).reshape(num_heads, head_dim // 2, 2)
    return order.swapaxes(1, 2).reshape(-1)


def _write_weights(gguf: GgufFile, path: Path, meter: StageMeter) -> None:
    total_bytes = sum(tensor.num_rows * tensor.row_bytes for tensor in gguf.tensors)
    counter = _ByteCounter(meter, total_bytes)
    write_safetensors(
        path,
        [
            Bfloat16Tensor(
                name=hf_name(tensor.name),
                shape=tensor.shape,
                parts=_parts(gguf, tensor, counter),
            )
            for tensor in gguf.tensors
        ],
    )


def _parts(
    gguf: GgufFile, tensor: GgufTensor, counter: "_ByteCounter"
) -> Iterator[npt.NDArray[np.uint16]]:
    packed = gguf.packed_rows(tensor)
    order = _row_order(gguf, tensor)
    for begin in range(0, tensor.num_rows, _PART_ROWS):
        rows = packed[order[begin : begin + _PART_ROWS]]
        yield to_bfloat16(dequantise(rows, tensor.kind))
        counter.add(rows.nbytes)


def _row_order(gguf: GgufFile, tensor: GgufTensor) -> npt.NDArray[np.intp]:
    if ".attn_q." in tensor.name:
        return rotary_row_order(tensor.num_rows, gguf.integer("llama.attention.head_count"))
    if ".attn_k." in tensor.name:
        return rotary_row_order(tensor.num_rows, gguf.integer("llama.attention.head_count_kv"))
    return np.arange(tensor.num_rows)


class _ByteCounter:
    """Packed bytes converted so far."""

    def __init__(self, meter: StageMeter, total_bytes: int) -> None:
        self._meter = meter
        self._total_bytes = total_bytes
        self._done_bytes = 0

    def add(self, num_bytes: int) -> None:
        self._done_bytes += num_bytes
        self._meter.report(AssetStage.CONVERT, self._done_bytes, self._total_bytes)


def _token_ids(gguf: GgufFile) -> dict[str, object]:
    keys = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    return {
        ours: gguf.integer(f"tokenizer.ggml.{theirs}_token_id") for ours, theirs in keys.items()
    }


def _write_json(path: Path, table: dict[str, object]) -> None:
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", "utf-8")
