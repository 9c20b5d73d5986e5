"""Saturated engines and static batches: bounds by hand, sharding, capacity."""

import dataclasses

import pytest

from loadsheet.cost.operator import Operator, OpKind
from loadsheet.cost.serving.offline_text import TextJob, largest_batch, offline_text
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.serving.text_step import (
    TextModel,
    decode_shape,
    exchange_seconds,
    prefill_shape,
    sharded,
    step_seconds,
)
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import of

MODELS, DEVICES = Catalog(), DeviceCatalog()
H100 = DEVICES.find("h100-sxm-80gb")
LLAMA = TextModel(
    component=MODELS.component("llama-3.1-8b", "decoder"), device=H100, precision=of("bf16")
)
JOB = TextJob(model=LLAMA, engine=text_engine("trtllm"), input_tokens=1000, output_tokens=1000)


def test_a_lone_sequence_reads_the_weights_for_every_token() -> None:
    # 7.5 G weights are read per token (the embedding is not) at 2 bytes and 3.35 TB/s
    rate = offline_text(dataclasses.replace(JOB, batch=1)).output_tokens_per_s
    assert rate < 3.35e12 / (2 * 7.5e9)
    assert rate > 0.5 * 3.35e12 / (2 * 7.5e9)


def test_the_cache_bounds_the_batch() -> None:
    # 131072 bytes of cache a token, 2000 tokens reserved, 16.06 GB of weights of 0.95 x 80 GiB
    most = largest_batch(JOB)
    assert most == pytest.approx((0.95 * 80 * 2**30 - 1e9 - 16.06e9) / (2000 * 131072), rel=0.02)
    assert offline_text(JOB).batch == most


def test_eight_bits_hold_more_and_run_faster() -> None:
    narrow = dataclasses.replace(LLAMA, precision=of("fp8", "fp8"))
    wide, fast = offline_text(JOB), offline_text(dataclasses.replace(JOB, model=narrow))
    assert fast.batch > 1.9 * wide.batch
    assert fast.output_tokens_per_s > 1.4 * wide.output_tokens_per_s


def test_replicas_multiply() -> None:
    twice = dataclasses.replace(JOB, replicas=2)
    assert offline_text(twice).output_tokens_per_s == pytest.approx(
        2 * offline_text(JOB).output_tokens_per_s
    )


def test_two_devices_together_beat_one_but_not_twice_at_equal_batch() -> None:
    pair = dataclasses.replace(JOB, model=dataclasses.replace(LLAMA, tp=2), batch=128)
    one = offline_text(dataclasses.replace(JOB, batch=128)).output_tokens_per_s
    assert one < offline_text(pair).output_tokens_per_s < 2 * one


def test_columns_and_rows_are_sharded_as_megatron_does() -> None:
    four = dataclasses.replace(LLAMA, tp=4)
    up = Operator(name="mlp.up", kind=OpKind.GEMM, m=8, n=1024, k=512)
    down = Operator(name="mlp.down_proj", kind=OpKind.GEMM, m=8, n=512, k=1024)
    router = Operator(name="mlp.gate", kind=OpKind.GEMM, m=8, n=64, k=512)
    assert (sharded(up, four).n, sharded(up, four).k) == (256, 512)
    assert (sharded(down, four).n, sharded(down, four).k) == (512, 256)
    assert sharded(router, four) == router
    assert sharded(up, LLAMA) == up


def test_a_model_that_does_not_fit_is_refused_with_the_numbers() -> None:
    large = TextModel(
        component=MODELS.component("llama-3.1-70b", "decoder"), device=H100, precision=of("bf16")
    )
    with pytest.raises(CapacityError, match=r"141\.1 GB"):
        offline_text(dataclasses.replace(JOB, model=large))


def test_more_shards_than_heads_are_refused() -> None:
    with pytest.raises(ConfigError, match="tp 64 is more than the 32 heads"):
        dataclasses.replace(LLAMA, tp=64)


def test_reserving_outputs_admits_fewer() -> None:
    grows = dataclasses.replace(JOB, engine=dataclasses.replace(JOB.engine, reserves_output=False))
    # a request is reserved at 2000 tokens and holds 1500 in the mean
    assert largest_batch(grows) == pytest.approx(largest_batch(JOB) * 2000 / 1500, rel=0.02)


def test_a_prompt_is_never_faster_than_the_host_issues_its_kernels() -> None:
    eager = dataclasses.replace(JOB.engine, eager_us=1000.0)
    launches = step_seconds(LLAMA, prefill_shape(2), eager) / 1e-3
    assert launches == pytest.approx(round(launches))
    assert launches >= 32 * 7  # layers of seven products or more
    decode = decode_shape(LLAMA, 1, 1)
    assert step_seconds(LLAMA, decode, eager) == step_seconds(LLAMA, decode, JOB.engine)


def test_devices_wait_for_each_other_twice_a_layer() -> None:
    pair = dataclasses.replace(LLAMA, tp=2)
    calm = dataclasses.replace(JOB.engine, link_us=0.0)
    skewed = dataclasses.replace(JOB.engine, link_us=10.0)
    shape = decode_shape(pair, 8, 100)
    waited_s = exchange_seconds(pair, shape, skewed) - exchange_seconds(pair, shape, calm)
    assert waited_s == pytest.approx(2 * 32 * 10e-6)
    assert exchange_seconds(LLAMA, shape, skewed) == 0.0
