"""Tiny stand-ins for what ships: wheels built on the spot, and a GGUF file of a random llama."""

import base64
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from loadsheet.engine.assets.entry import Entry, EntryKind, Member, Recipe, Wheel

MakeWheel = Callable[..., Wheel]


def _pin(path: str, content: bytes) -> Member:
    return Member(
        path=path,
        target=Path(path).name,
        num_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _record_line(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


@pytest.fixture
def make_wheel() -> MakeWheel:
    """Writes a wheel that pip accepts and returns its pins."""

    def make(folder: Path, files: dict[str, bytes], project: str = "tiny-parcel") -> Wheel:
        stem = f"{project.replace('-', '_')}-1.0"
        info = f"{stem}.dist-info"
        contents = files | {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(_record_line(name, content) for name, content in contents.items())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
            archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
        packed = path.read_bytes()
        return Wheel(
            project=project,
            version="1.0",
            file_name=path.name,
            num_bytes=len(packed),
            sha256=hashlib.sha256(packed).hexdigest(),
            members=tuple(_pin(name, content) for name, content in files.items()),
        )

    return make


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    def make(
        name: str, wheel: Wheel | None, recipe: Recipe = Recipe.COPY, **fields: object
    ) -> Entry:
        table: dict[str, object] = {
            "title": name,
            "kind": EntryKind.TEXT,
            "recipe_version": 1,
            "licence": "Apache-2.0",
            "origin": "made in a test",
            "date": None,
            "folder_bytes": 1000,
        }
        return Entry(**(table | fields), name=name, recipe=recipe, wheel=wheel)

    return make


@pytest.fixture
def local_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip finds packages in this folder and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


class TinyLlama:
    """Random weights under Hugging Face names, and the sizes behind them."""

    hidden, ffn, layers, heads, kv_heads = 64, 96, 2, 4, 2
    tokens = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *map(chr, range(33, 127)), "Ġ", "Ċ")
    merges = ("h e", "Ċ Ċ", "Ġ t")
    vocab = (*tokens, "he", "ĊĊ", "Ġt")

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        head = self.hidden // self.heads
        shapes = {
            "self_attn.q_proj": (self.hidden, self.hidden),
            "self_attn.k_proj": (self.kv_heads * head, self.hidden),
            "self_attn.v_proj": (self.kv_heads * head, self.hidden),
            "self_attn.o_proj": (self.hidden, self.hidden),
            "mlp.gate_proj": (self.ffn, self.hidden),
            "mlp.up_proj": (self.ffn, self.hidden),
            "mlp.down_proj": (self.hidden, self.ffn),
            "input_layernorm": (self.hidden,),
            "post_attention_layernorm": (self.hidden,),
        }
        self.weights = {
            f"model.layers.{layer}.{name}.weight": self._draw(rng, shape)
            for layer in range(self.layers)
            for name, shape in shapes.items()
        }
        self.weights["model.embed_tokens.weight"] = self._draw(rng, (len(self.vocab), self.hidden))
        self.weights["model.norm.weight"] = self._draw(rng, (self.hidden,))

    @staticmethod
    def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(0, 0.2, shape).astype(np.float32)


@pytest.fixture
def tiny_llama() -> TinyLlama:
    return TinyLlama()


_GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def _gguf_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, middle = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_GGUF_NAMES[middle]}.weight"


def _rotated(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """Halves → neighbouring pairs, as converters to GGUF do for llama."""
    rows, columns = weight.shape
    halves = weight.reshape(num_heads, 2, rows // num_heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


@pytest.fixture
def tiny_gguf(tmp_path: Path, tiny_llama: TinyLlama) -> Path:
    """Q4_1 matrices, a Q8_0 embedding, F32 norms: the mix of the model that ships."""
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    head = tiny_llama.hidden // tiny_llama.heads
    writer.add_context_length(128)
    writer.add_embedding_length(tiny_llama.hidden)
    writer.add_feed_forward_length(tiny_llama.ffn)
    writer.add_block_count(tiny_llama.layers)
    writer.add_head_count(tiny_llama.heads)
    writer.add_head_count_kv(tiny_llama.kv_heads)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tiny_llama.vocab))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(list(tiny_llama.vocab))
    writer.add_token_types([3, 3, 3, *[1] * (len(tiny_llama.vocab) - 3)])
    writer.add_token_merges(list(tiny_llama.merges))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    for name, weight in tiny_llama.weights.items():
        _add_tensor(writer, name, weight, tiny_llama)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tensor(
    writer: gguf.GGUFWriter, name: str, weight: np.ndarray, tiny_llama: TinyLlama
) -> None:
    if weight.ndim == 1:
        writer.add_tensor(_gguf_name(name), weight)
        return
    if "q_proj" in name:
        weight = _rotated(weight, tiny_llama.heads)
    elif "k_proj" in name:
        weight = _rotated(weight, tiny_llama.kv_heads)
    kind = gguf.GGMLQuantizationType.Q4_1
    if "embed" in name:
        kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(_gguf_name(name), gguf.quants.quantize(weight, kind), raw_dtype=kind)
