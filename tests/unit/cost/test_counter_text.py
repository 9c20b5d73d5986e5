"""Our walks against FlopCounterMode on small text models of the published classes.

Small random-weight models run on the CPU; attention is eager or fused, both count densely.
"""

import re

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from loadsheet.cost.components import operators
from loadsheet.cost.module_cost import module_costs
from loadsheet.cost.operator import total
from loadsheet.cost.shape import Logits, TokenShape
from loadsheet.specs.from_hf import from_hf
from loadsheet.specs.pipeline import Component, Role

pytestmark = [
    pytest.mark.counter,
    pytest.mark.filterwarnings("ignore"),
]

BATCH, TOKENS = 2, 24
LLAMA = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 131,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
}
MULTI_HEAD = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
GPT = {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 64, "vocab_size": 131}
DENSE = {
    "llama": LLAMA,
    "mistral": {**LLAMA, "head_dim": 16},
    "qwen2": {**LLAMA, "tie_word_embeddings": True},
    "qwen3": {**LLAMA, "head_dim": 16},
    "gemma": {**LLAMA, "head_dim": 16, "tie_word_embeddings": True},
    "gemma2": {**LLAMA, "head_dim": 16, "sliding_window": 8, "tie_word_embeddings": True},
    "gemma3_text": {**LLAMA, "head_dim": 16, "sliding_window": 8, "tie_word_embeddings": True},
    "phi3": {**LLAMA, "sliding_window": 8},
    "phi": LLAMA,
    "olmo2": LLAMA,
    "smollm3": LLAMA,
    "gpt2": GPT,
    "gptj": {**GPT, "rotary_dim": 8, "tie_word_embeddings": False},
    "gpt_neox": MULTI_HEAD,
    "falcon": {
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "vocab_size": 131,
        "bias": False,
        "parallel_attn": True,
        "multi_query": True,
        "new_decoder_architecture": False,
    },
    "opt": {**MULTI_HEAD, "ffn_dim": 96, "word_embed_proj_dim": 64},
}
MLA = {
    **LLAMA,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "q_lora_rank": 24,
    "moe_intermediate_size": 32,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 8,
    "n_group": 1,
    "topk_group": 1,
}
ROUTED = {
    "mixtral": {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {
        **LLAMA,
        "head_dim": 16,
        "moe_intermediate_size": 32,
        "num_experts": 8,
        "num_experts_per_tok": 2,
    },
    "qwen2_moe": {
        **LLAMA,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 48,
        "num_experts": 8,
        "num_experts_per_tok": 2,
    },
    "gpt_oss": {
        **LLAMA,
        "head_dim": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 8,
    },
    "deepseek_v2": MLA,
    "deepseek_v3": MLA,
    "llama4_text": {
        **LLAMA,
        "head_dim": 8,
        "intermediate_size_mlp": 128,
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 2,
        "attention_chunk_size": 64,
    },
}
BERT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 131,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
}
T5 = {
    "d_model": 64,
    "num_layers": 2,
    "num_heads": 4,
    "d_kv": 24,
    "d_ff": 96,
    "vocab_size": 131,
    "relative_attention_num_buckets": 32,
}
ENCODERS = {
    "BertForSequenceClassification": ("bert", BERT),
    "BertModel": ("bert", BERT),
    "CLIPTextModel": ("clip_text_model", {**BERT, "projection_dim": 40}),
    "CLIPTextModelWithProjection": ("clip_text_model", {**BERT, "projection_dim": 40}),
    "T5EncoderModel": ("t5", {**T5, "feed_forward_proj": "relu"}),
    "UMT5EncoderModel": ("umt5", {**T5, "feed_forward_proj": "gated-gelu"}),
}


def build(kind: str, fields: dict, name: str | None = None):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **fields)
    config._attn_implementation = "eager"  # the fused CPU kernel is unknown to the counter
    if name is None:
        return transformers.AutoModelForCausalLM.from_config(config).eval()
    return getattr(transformers, name)(config).eval()


def component(kind: str, fields: dict, name: str | None = None) -> Component:
    spec = from_hf({"model_type": kind, "architectures": [name] if name else [], **fields})
    role = Role.DECODER if name is None else Role.ENCODER
    return Component(name=kind, role=role, spec=spec)


def num_params(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def counted(model, **inputs) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize("kind", DENSE)
def test_decoder_prefill_and_decode(kind):
    model = build(kind, DENSE[kind])
    ours = component(kind, DENSE[kind])
    ids = torch.randint(1, 131, (BATCH, TOKENS))
    shape = TokenShape(tokens=TOKENS, context=TOKENS, batch=BATCH, logits=Logits.ALL)
    sums = total(operators(ours, shape))
    assert counted(model, input_ids=ids, use_cache=False) == sums.flops
    assert num_params(model) == sums.params


@pytest.mark.parametrize("kind", [kind for kind in DENSE if kind != "gpt_neox"])
def test_rows_are_paths_of_the_published_class(kind):
    """All but the norms of queries and keys, which one row counts together; GPT-NeoX's head was
    renamed by the library after publication."""
    model = build(kind, DENSE[kind])
    known = {re.sub(r"\.\d+", ".*", name) for name, _ in model.named_modules()}
    ops = operators(component(kind, DENSE[kind]), TokenShape(tokens=1, context=1))
    rows = [row for row in module_costs(ops) if row.params and "qk_norm" not in row.path]
    assert [row.path for row in rows if re.sub(r"\.\d+", ".*", row.path) not in known] == []


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3"])
def test_decode_with_a_cache(kind):
    model = build(kind, DENSE[kind])
    ids = torch.randint(1, 131, (BATCH, TOKENS))
    with torch.no_grad():
        cache = model(input_ids=ids, use_cache=True).past_key_values
    shape = TokenShape(tokens=1, context=TOKENS + 1, batch=BATCH)
    sums = total(operators(component(kind, DENSE[kind]), shape))
    assert counted(model, input_ids=ids[:, :1], past_key_values=cache) == sums.flops


@pytest.mark.parametrize("kind", ROUTED)
def test_parameters_of_routed_models(kind):
    """Expert loops and batched experts count differently in each class; parameters do not."""
    model = build(kind, ROUTED[kind])
    ours = total(operators(component(kind, ROUTED[kind]), TokenShape(tokens=1, context=1))).params
    buffers = sum(
        value.numel() for name, value in model.named_buffers() if "e_score_correction" in name
    )
    assert num_params(model) + buffers == ours


@pytest.mark.parametrize(
    "kind", ["mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v3"]
)
def test_active_experts_of_one_token(kind):
    """One token: an expert loop runs exactly the chosen experts."""
    fields = ROUTED[kind]
    model = build(kind, fields)
    model.set_experts_implementation("eager")
    ids = torch.randint(1, 131, (1, 1))
    sums = total(operators(component(kind, fields), TokenShape(tokens=1, context=1)))
    assert counted(model, input_ids=ids, use_cache=False) == sums.flops


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder(name):
    kind, fields = ENCODERS[name]
    model = build(kind, fields, name)
    ids = torch.randint(1, 131, (BATCH, TOKENS))
    shape = TokenShape(tokens=TOKENS, context=TOKENS, batch=BATCH)
    sums = total(operators(component(kind, fields, name), shape))
    assert counted(model, input_ids=ids) == sums.flops
    assert num_params(model) == sums.params
