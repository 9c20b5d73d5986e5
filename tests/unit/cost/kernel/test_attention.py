"""Fused attention: what causality, grouping and the cache change."""

import dataclasses

import pytest

from loadsheet.cost.kernel.attention import AttentionPhase, FusedShape, attention_seconds
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog

H100 = DeviceCatalog().find("h100-sxm-80gb")
LONG = FusedShape(
    phase=AttentionPhase.PREFILL,
    batch=4,
    tokens=8192,
    context=8192,
    heads=32,
    kv_heads=8,
    head_dim=128,
)
DECODE = FusedShape(
    phase=AttentionPhase.DECODE,
    batch=64,
    tokens=1,
    context=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
)


def test_a_causal_prefill_of_twice_the_length_takes_four_times_as_long() -> None:
    twice = dataclasses.replace(LONG, tokens=16384, context=16384)
    ratio = attention_seconds(twice, H100) / attention_seconds(LONG, H100)
    assert ratio == pytest.approx(4, rel=0.1)


def test_a_cached_prefix_adds_its_pairs() -> None:
    # 8192 queries on a prefix of 8192: 1.5 squares instead of half a one
    prefixed = dataclasses.replace(LONG, context=16384)
    ratio = attention_seconds(prefixed, H100) / attention_seconds(LONG, H100)
    assert ratio == pytest.approx(3, rel=0.15)


def test_no_prefill_beats_the_peak() -> None:
    flops = 4 * 4 * 32 * 128 * 8192 * 8193 / 2
    assert attention_seconds(LONG, H100) > flops / H100.flops_per_s("bf16")


def test_decode_reads_the_cache_at_most_at_the_bandwidth() -> None:
    num_bytes = 2 * 64 * 4096 * 8 * 128 * 2
    least = num_bytes / H100.memory_bytes_per_s
    assert least < attention_seconds(DECODE, H100) < 1.6 * least


def test_fewer_kv_heads_and_narrower_caches_decode_faster() -> None:
    base = attention_seconds(DECODE, H100)
    assert attention_seconds(dataclasses.replace(DECODE, kv_heads=2), H100) < 0.5 * base
    assert attention_seconds(dataclasses.replace(DECODE, kv_dtype="fp8"), H100) < 0.8 * base


def test_one_short_sequence_costs_the_fixed_time() -> None:
    tiny = dataclasses.replace(DECODE, batch=1, context=16)
    assert 1e-6 < attention_seconds(tiny, H100) < 30e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kv_heads": 5}, "heads 32 is not a multiple of kv_heads 5"),
        ({"context": 100}, "context 100"),
        ({"batch": 0}, "1 or more"),
        ({"kv_dtype": "fp7"}, "fp7"),
    ],
)
def test_impossible_shapes_name_the_rule(change: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(LONG, **change)
