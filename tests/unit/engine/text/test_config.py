import pytest

from loadsheet.engine.text.config import DecoderConfig, RopeScaling
from loadsheet.errors import SpecError

# config.json of SmolLM2-135M-Instruct, as transformers 5 writes it
SMOLLM2 = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 8192,
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
}
LLAMA3_SCALING = {
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def test_reads_every_number() -> None:
    assert DecoderConfig.from_hf(SMOLLM2) == DecoderConfig(
        vocab_size=49152,
        hidden_size=576,
        ffn_size=1536,
        num_layers=30,
        num_heads=9,
        num_kv_heads=3,
        head_dim=64,
        norm_eps=1e-5,
        rope_theta=1e5,
        rope_scaling=None,
        max_context_tokens=8192,
        has_qkv_bias=False,
        has_out_bias=False,
        has_tied_head=True,
    )


def test_absent_fields_take_the_defaults_of_the_family() -> None:
    minimal = {
        name: SMOLLM2[name]
        for name in (
            "model_type",
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
        )
    }
    config = DecoderConfig.from_hf(minimal | {"num_key_value_heads": None})
    assert (config.num_kv_heads, config.head_dim) == (9, 64)
    assert (config.norm_eps, config.rope_theta) == (1e-6, 1e4)
    assert not config.has_tied_head


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3"} | LLAMA3_SCALING},
        {
            "rope_parameters": None,
            "rope_theta": 5e5,
            "rope_scaling": {"type": "llama3"} | LLAMA3_SCALING,
        },
    ],
    ids=["transformers-5", "transformers-4"],
)
def test_llama3_scaling_in_both_spellings(rope) -> None:
    config = DecoderConfig.from_hf(SMOLLM2 | rope)
    assert config.rope_theta == 5e5
    assert config.rope_scaling == RopeScaling(
        kind="llama3",
        factor=32.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_context=8192,
    )


def test_linear_scaling() -> None:
    rope = {"rope_theta": 1e4, "rope_type": "linear", "factor": 2}
    config = DecoderConfig.from_hf(SMOLLM2 | {"rope_parameters": rope})
    assert config.rope_scaling == RopeScaling(kind="linear", factor=2.0)


def test_biases_by_family() -> None:
    qwen2 = DecoderConfig.from_hf(SMOLLM2 | {"model_type": "qwen2"})
    assert (qwen2.has_qkv_bias, qwen2.has_out_bias) == (True, False)
    llama = DecoderConfig.from_hf(SMOLLM2 | {"attention_bias": True})
    assert (llama.has_qkv_bias, llama.has_out_bias) == (True, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "mistral", "sliding_window": 8192},
        {"model_type": "mistral", "sliding_window": None},
        {"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False},
    ],
)
def test_a_window_that_never_slides_is_full_attention(changes) -> None:
    assert DecoderConfig.from_hf(SMOLLM2 | changes).num_layers == 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma3"}, "'gemma3' is not supported; supported: llama, mistral, qwen2"),
        ({"model_type": None}, "lacks model_type"),
        ({"model_type": "mistral", "sliding_window": 4096}, "window of 4096 .* full attention"),
        (
            {"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": True},
            "window of 4096",
        ),
        ({"hidden_act": "gelu"}, "'gelu' is not supported; supported: silu"),
        ({"mlp_bias": True}, "mlp_bias is not supported"),
        ({"quantization_config": {"bits": 4}}, "quantized checkpoints .* bf16, fp16, fp32"),
        (
            {"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn"}},
            "'yarn' is not supported; supported: default, linear, llama3",
        ),
        ({"num_key_value_heads": 2}, "9, no multiple of num_key_value_heads 2"),
        ({"head_dim": 63}, "head_dim is 63"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps is -1.0"),
        ({"hidden_act": 3}, "hidden_act is 3"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes'"),
        ({"rope_parameters": [1]}, r"rope_parameters is \[1\]"),
        ({"num_hidden_layers": None}, "lacks num_hidden_layers"),
    ],
)
def test_what_is_not_supported_is_named(changes, message) -> None:
    with pytest.raises(SpecError, match=message):
        DecoderConfig.from_hf(SMOLLM2 | changes)
