"""Closed forms of serving costs, worked by hand."""

import pytest

from loadsheet.cost.components import operators
from loadsheet.cost.decoder import distinct_experts, kv_values_per_token, served_pairs
from loadsheet.cost.memory import kv_bytes, kv_bytes_per_token
from loadsheet.cost.operator import Operator, OpKind, total
from loadsheet.cost.shape import Logits, Span, TokenShape
from loadsheet.errors import ConfigError
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import Precision, of

CATALOG = Catalog()


def run(name: str, shape: TokenShape, precision: Precision | None = None) -> list[Operator]:
    (component,) = CATALOG.find(name).components()
    return operators(component, shape, precision)


def attention_flops(name: str, shape: TokenShape) -> int:
    return sum(op.flops * op.count for op in run(name, shape) if op.kind is OpKind.ATTENTION)


@pytest.mark.parametrize(
    ("tokens", "context", "window", "pairs"),
    [
        (4, 4, None, 10),  # 1 + 2 + 3 + 4
        (1, 9, None, 9),
        (2, 5, None, 9),  # the 4th and 5th see 4 and 5
        (5, 5, 2, 9),  # 1 + 2 + 2 + 2 + 2
        (2, 5, 3, 6),  # both see 3
        (3, 4, 3, 8),  # 2 + 3 + 3
        (1, 1, 1, 1),
        (4, 4, 100, 10),
    ],
)
def test_served_pairs(tokens, context, window, pairs):
    assert served_pairs(tokens, context, window) == pairs


def test_served_prefill_pays_half_the_pairs():
    dense = attention_flops("llama-3-8b", TokenShape(tokens=2048, context=2048))
    served = attention_flops("llama-3-8b", TokenShape(tokens=2048, context=2048, span=Span.SERVED))
    assert served * 2 * 2048 == dense * 2049


def test_a_window_caps_what_decode_reads():
    """Mistral's 4096-token window at 32k tokens: an eighth of the keys."""
    shape = TokenShape(tokens=1, context=32768, span=Span.SERVED)
    kv = sum(op.kv_bytes * op.count for op in run("mistral-7b", shape))
    assert kv == 32 * 2 * 8 * 128 * 4096 * 2


def test_chunks_add_up_to_the_whole_prefill():
    whole = TokenShape(tokens=512, context=512, span=Span.SERVED, logits=Logits.NONE)
    first = TokenShape(tokens=200, context=200, span=Span.SERVED, logits=Logits.NONE)
    second = TokenShape(tokens=312, context=512, span=Span.SERVED, logits=Logits.NONE)
    parts = total(run("llama-3-8b", first)).flops + total(run("llama-3-8b", second)).flops
    assert parts == total(run("llama-3-8b", whole)).flops


@pytest.mark.parametrize(
    ("name", "num_bytes"),
    [("deepseek-v3", 70_272), ("qwen2.5-72b", 327_680), ("llama-3.1-405b", 516_096)],
)
def test_kv_bytes_per_token_as_published(name, num_bytes):
    spec = CATALOG.find(name).model
    assert kv_bytes_per_token(spec, of("bf16")) == num_bytes
    assert kv_bytes_per_token(spec, of("bf16", "fp8")) * 2 == num_bytes
    assert kv_values_per_token(spec) * 2 == num_bytes


def test_kv_comes_in_blocks_and_windows_stop_growing():
    spec = CATALOG.find("gemma-2-2b").model  # 13 local layers of 4096, 13 global; 2·4·256 values
    per_layer = 2 * 4 * 256 * 2
    assert kv_bytes(spec, 1, of("bf16")) == 26 * per_layer * 16
    assert kv_bytes(spec, 8192, of("bf16")) == 13 * per_layer * (4096 + 8192)


def test_distinct_experts_of_256_choose_8():
    assert distinct_experts(256, 8, 1) == pytest.approx(8)
    assert distinct_experts(256, 8, 32) == pytest.approx(163.3, abs=0.1)
    assert distinct_experts(256, 8, 256) == pytest.approx(256, abs=0.1)


def test_expert_bytes_follow_the_distinct_experts():
    def expert_bytes(batch: int) -> int:
        shape = TokenShape(tokens=1, context=1, batch=batch)
        ops = run("mixtral-8x7b", shape)
        return sum(op.weight_bytes * op.count for op in ops if op.kind is OpKind.GROUPED_GEMM)

    one = 32 * 3 * 4096 * 14336 * 2
    assert expert_bytes(1) == pytest.approx(2 * one, rel=1e-9)
    assert expert_bytes(1000) == pytest.approx(8 * one, rel=1e-9)


def test_mla_absorbed_attends_in_the_latent():
    """Per layer and token: 2H·T(d_c + d_rope) for scores and 2H·T·d_c for values."""
    shape = TokenShape(tokens=1, context=1000, span=Span.SERVED, is_absorbed=True)
    assert attention_flops("deepseek-v3", shape) == 61 * 2 * 128 * 1000 * (512 + 64 + 512)
    kv = sum(op.kv_bytes * op.count for op in run("deepseek-v3", shape))
    assert kv == 61 * 1000 * (512 + 64) * 2


def test_mla_expanded_prefill_uses_the_real_heads():
    shape = TokenShape(tokens=64, context=64)
    assert attention_flops("deepseek-v3", shape) == 61 * 2 * 128 * 64 * 64 * (192 + 128)


def test_mla_expands_a_cached_prefix_again():
    cold = TokenShape(tokens=64, context=64, span=Span.SERVED)
    warm = TokenShape(tokens=64, context=512, span=Span.SERVED)

    def expansion(shape: TokenShape) -> int:
        ops = run("deepseek-v3", shape)
        return sum(op.flops for op in ops if op.name.endswith("kv_b_proj"))

    assert expansion(warm) == 8 * expansion(cold)


def test_quantised_weights_move_fewer_bytes():
    shape = TokenShape(tokens=1, context=1)
    wide, narrow = (
        total(run("llama-3-8b", shape, of(dtype))).weight_bytes for dtype in ("bf16", "fp8")
    )
    head = 2 * 4096 * 128256  # logits stay in 16 bits
    assert (wide - head) / (narrow - head) == pytest.approx(2, rel=1e-3)


def test_logits_are_counted_where_asked():
    def head(logits: Logits) -> int:
        shape = TokenShape(tokens=10, context=10, batch=3, logits=logits)
        return sum(op.flops for op in run("llama-3-8b", shape) if op.name == "lm_head")

    assert head(Logits.NONE) == 0
    assert head(Logits.LAST) == 3 * 2 * 4096 * 128256
    assert head(Logits.ALL) == 10 * head(Logits.LAST)


def test_learned_positions_bound_the_context():
    with pytest.raises(ConfigError, match="1025 tokens exceed the 1024"):
        run("gpt2", TokenShape(tokens=1025, context=1025))
