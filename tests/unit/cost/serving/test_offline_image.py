"""Whole pipelines: what adds up, what the host limits, what is refused."""

import dataclasses

import pytest

from loadsheet.cost.serving.offline_image import ImageJob, batch_seconds, offline_image
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog

MODELS, DEVICES = Catalog(), DeviceCatalog()
H100 = DEVICES.find("h100-sxm-80gb")
JOB = ImageJob(
    entry=MODELS.find("sdxl"),
    device=H100,
    width=1024,
    height=1024,
    steps=20,
    is_guided=True,
    dtype="fp16",
    batch=1,
    is_compiled=True,
)


def test_steps_add_the_same_time_each() -> None:
    times = [batch_seconds(dataclasses.replace(JOB, steps=steps), 1) for steps in (10, 20, 30)]
    assert times[2] - times[1] == pytest.approx(times[1] - times[0])
    assert times[1] > 0.8 * 2 * (times[1] - times[0])  # most of it is denoising


def test_no_pipeline_beats_the_peak() -> None:
    # 6761 GFLOP a forward (docs of the catalogue's counts), two forwards a step
    assert batch_seconds(JOB, 1) > 20 * 2 * 6.761e12 / H100.flops_per_s("fp16")


def test_guidance_nearly_doubles_a_compiled_pipeline() -> None:
    free = batch_seconds(dataclasses.replace(JOB, is_guided=False), 4)
    assert 1.7 < batch_seconds(JOB, 4) / free < 2.1


def test_an_eager_small_model_waits_for_the_host() -> None:
    small = dataclasses.replace(
        JOB, entry=MODELS.find("sd-1.5"), width=512, height=512, is_compiled=False
    )
    one, two = batch_seconds(small, 1), batch_seconds(small, 2)
    assert two < 1.1 * one  # the second image is free while the device idles


def test_eight_bits_and_more_devices_are_faster() -> None:
    wide, narrow = offline_image(JOB), offline_image(dataclasses.replace(JOB, dtype="fp8"))
    assert narrow.images_per_s > 1.2 * wide.images_per_s
    eight = offline_image(dataclasses.replace(JOB, num_devices=8))
    assert eight.images_per_s == pytest.approx(8 * wide.images_per_s)
    assert eight.latency_s == pytest.approx(wide.latency_s)


def test_an_unset_batch_is_no_slower_than_any_set_one() -> None:
    best = offline_image(dataclasses.replace(JOB, batch=None))
    assert best.images_per_s >= offline_image(JOB).images_per_s


def test_a_language_model_is_no_pipeline() -> None:
    with pytest.raises(ConfigError, match=r"llama-3.1-8b is no image pipeline"):
        dataclasses.replace(JOB, entry=MODELS.find("llama-3.1-8b"))


def test_sizes_that_are_no_multiple_are_refused() -> None:
    with pytest.raises(ConfigError, match="1001"):
        offline_image(dataclasses.replace(JOB, width=1001))
