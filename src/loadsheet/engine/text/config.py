"""The numbers that shape a decoder, read from the `config.json` of a Hugging Face folder.

The Llama family (Llama 2 and 3, SmolLM2, Mistral without sliding window) and Qwen2/Qwen2.5 are one
architecture: pre-norm RMSNorm, rotary positions, grouped-query attention, SwiGLU. They differ in
sizes, rotary frequencies, biases and whether the head shares the embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from loadsheet.errors import SpecError

SUPPORTED_MODEL_TYPES = ("llama", "mistral", "qwen2")


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """How rotary frequencies are stretched for long contexts.

    `linear` divides every frequency by `factor` (position interpolation, arXiv:2306.15595).
    `llama3` does so only for wavelengths longer than `original_context / low_freq_factor`, leaves
    those shorter than `original_context / high_freq_factor`, and blends in between.
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    vocab_size: int
    hidden_size: int
    ffn_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    max_context_tokens: int
    has_qkv_bias: bool
    has_out_bias: bool
    has_tied_head: bool

    @classmethod
    def from_hf(cls, raw: Mapping[str, object]) -> "DecoderConfig":
        """From a parsed `config.json`, as transformers 4 or 5 writes it."""
        fields = _Fields(raw)
        model_type = fields.text("model_type")
        _refuse_unsupported(fields, model_type)
        rope = fields.mapping("rope_parameters") or fields.mapping("rope_scaling") or _Fields({})
        hidden_size, num_heads = fields.count("hidden_size"), fields.count("num_attention_heads")
        max_context = fields.count("max_position_embeddings", default=2048)
        has_bias = fields.flag("attention_bias")
        config = cls(
            vocab_size=fields.count("vocab_size"),
            hidden_size=hidden_size,
            ffn_size=fields.count("intermediate_size"),
            num_layers=fields.count("num_hidden_layers"),
            num_heads=num_heads,
            num_kv_heads=fields.count("num_key_value_heads", default=num_heads),
            head_dim=fields.count("head_dim", default=max(1, hidden_size // num_heads)),
            norm_eps=fields.number("rms_norm_eps", default=1e-6),
            rope_theta=rope.number("rope_theta", default=fields.number("rope_theta", 1e4)),
            rope_scaling=_rope_scaling(rope, max_context),
            max_context_tokens=max_context,
            has_qkv_bias=has_bias or model_type == "qwen2",
            has_out_bias=has_bias and model_type != "qwen2",
            has_tied_head=fields.flag("tie_word_embeddings"),
        )
        config._check()
        return config

    def _check(self) -> None:
        if self.num_heads % self.num_kv_heads:
            raise SpecError(
                f"num_attention_heads is {self.num_heads}, no multiple of "
                f"num_key_value_heads {self.num_kv_heads}"
            )
        if self.head_dim % 2:
            raise SpecError(f"head_dim is {self.head_dim}; rotary positions need an even number")


def _refuse_unsupported(fields: "_Fields", model_type: str) -> None:
    if model_type not in SUPPORTED_MODEL_TYPES:
        supported = ", ".join(SUPPORTED_MODEL_TYPES)
        raise SpecError(f"model_type {model_type!r} is not supported; supported: {supported}")
    if "quantization_config" in fields.raw:
        raise SpecError("quantized checkpoints are not supported; supported: bf16, fp16, fp32")
    activation = fields.text("hidden_act", default="silu")
    if activation != "silu":
        raise SpecError(f"hidden_act {activation!r} is not supported; supported: silu (SwiGLU)")
    if fields.flag("mlp_bias"):
        raise SpecError("mlp_bias is not supported; supported: feed-forward layers without bias")
    _refuse_sliding_window(fields, model_type)


def _refuse_sliding_window(fields: "_Fields", model_type: str) -> None:
    window = fields.raw.get("sliding_window")
    if model_type == "qwen2" and not fields.flag("use_sliding_window"):
        window = None
    if window is not None and fields.count("sliding_window") < fields.count(
        "max_position_embeddings"
    ):
        raise SpecError(
            f"a sliding window of {window} tokens is not supported; supported: full attention "
            "(sliding_window null)"
        )


def _rope_scaling(rope: "_Fields", max_context: int) -> RopeScaling | None:
    kind = rope.text("rope_type", default=rope.text("type", default="default"))
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling(kind="linear", factor=rope.number("factor"))
    if kind == "llama3":
        return RopeScaling(
            kind="llama3",
            factor=rope.number("factor"),
            low_freq_factor=rope.number("low_freq_factor"),
            high_freq_factor=rope.number("high_freq_factor"),
            original_context=rope.count("original_max_position_embeddings", default=max_context),
        )
    raise SpecError(f"rope_type {kind!r} is not supported; supported: default, linear, llama3")


@dataclass(frozen=True, slots=True)
class _Fields:
    """Typed reads of a JSON object; `null` counts as absent."""

    raw: Mapping[str, object]

    def count(self, name: str, default: int | None = None) -> int:
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SpecError(f"{name} is {value!r} in config.json; a positive whole number is due")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise SpecError(f"{name} is {value!r} in config.json; a positive number is due")
        return float(value)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._value(name, default)
        if not isinstance(value, str):
            raise SpecError(f"{name} is {value!r} in config.json; a text is due")
        return value

    def flag(self, name: str) -> bool:
        value = self._value(name, False)
        if not isinstance(value, bool):
            raise SpecError(f"{name} is {value!r} in config.json; true or false is due")
        return value

    def mapping(self, name: str) -> "_Fields | None":
        value = self.raw.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise SpecError(f"{name} is {value!r} in config.json; an object is due")
        return _Fields(value)

    def _value(self, name: str, default: object) -> object:
        value = self.raw.get(name)
        if value is not None:
            return value
        if default is None:
            raise SpecError(f"config.json lacks {name}")
        return default
