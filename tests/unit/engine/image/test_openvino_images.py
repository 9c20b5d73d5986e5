"""Pipelines through OpenVINO beside the same in torch, both in float32 on random weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.openvino.image_networks import ImageNetworks, open_image_networks
from loadsheet.engine.torch_device import Placement
from loadsheet.runtime.payload import ImagePayload

CPU_FP32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
SHARES = {1.0: CpuShare(num_threads=1)}
TOLERANCE = 2e-4  # of float32 kernels that add in another order; answers have size about 1
FOLDERS = ["our_folder", "sd_folder"]


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def torch_pipeline(folder):
    return open_pipeline(folder, CPU_FP32)


@pytest.fixture(scope="module")
def cache_dir(folder, tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp(f"graphs-{folder.name}")


@pytest.fixture(scope="module")
def networks(folder, torch_pipeline, cache_dir) -> ImageNetworks:
    return opened(folder, torch_pipeline, cache_dir)


def opened(folder, pipeline, cache_dir) -> ImageNetworks:
    return open_image_networks(
        folder, pipeline, precision="fp32", cache_dir=cache_dir, shares=SHARES
    )


def ignore_step(step_idx: int, num_steps: int) -> None: ...


def largest_gap(left: torch.Tensor, right: torch.Tensor) -> float:
    return (left.float() - right.float()).abs().max().item()


@torch.inference_mode()
def test_prompts_are_encoded_as_in_torch(torch_pipeline, networks) -> None:
    width, height = torch_pipeline.sizes[0]
    prompts = Prompts(texts=("a red fox", "", "cat"), width=width, height=height)
    expected = torch_pipeline.encode(prompts).tensors
    found = networks.of_share[1.0].encode(prompts).tensors
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert largest_gap(found[name], tensor) <= TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, 2, 5])
def test_any_batch_is_denoised_as_in_torch_each_row_at_its_own_time(
    torch_pipeline, networks, num_rows
) -> None:
    generator = torch.Generator().manual_seed(num_rows)
    width, height = torch_pipeline.sizes[-1]
    x = torch.randn(num_rows, *torch_pipeline.latent_shape(width, height), generator=generator)
    times = torch.rand(num_rows, generator=generator) * 999
    texts = tuple("abcdefg"[:num_rows])
    conditioning = torch_pipeline.encode(Prompts(texts=texts, width=width, height=height))
    expected = torch_pipeline.denoise(x, times, conditioning)
    found = networks.of_share[1.0].denoise(x, times, conditioning)
    assert largest_gap(found, expected) <= TOLERANCE * expected.abs().max().item()
    if num_rows > 1:  # the times count, one by one
        others = networks.of_share[1.0].denoise(x, times.flip(0), conditioning)
        assert largest_gap(others, expected) > 10 * TOLERANCE


@torch.inference_mode()
def test_latents_of_any_size_are_decoded_as_in_torch(torch_pipeline, networks) -> None:
    for num_images, size in [(1, torch_pipeline.sizes[0]), (3, torch_pipeline.sizes[-1])]:
        latents = torch.randn(num_images, *torch_pipeline.latent_shape(*size))
        expected = torch_pipeline.decoder(latents)
        found = networks.of_share[1.0].decoder(latents)
        assert largest_gap(found, expected) <= TOLERANCE * expected.abs().max().item()


def test_whole_images_are_equal_within_one_level(torch_pipeline, networks) -> None:
    width, height = torch_pipeline.sizes[0]
    payload = ImagePayload(
        prompt="a fox",
        negative_prompt="",
        width=width,
        height=height,
        num_steps=3,
        guidance_scale=2.0,
        seed=3,
    )
    expected = draw(torch_pipeline, payload, ignore_step).astype(int)
    found = draw(networks.of_share[1.0], payload, ignore_step).astype(int)
    assert expected.std() > 1  # a picture, not a flat field
    assert np.abs(found - expected).max() <= 1


@torch.inference_mode()
def test_an_adapter_is_worn_in_torch(
    folder, torch_pipeline, networks, random_lora: Callable[..., Path]
) -> None:
    fast = networks.of_share[1.0].denoise
    torch_pipeline.denoise.adapters.load("style", random_lora(folder, "style", seed=1))
    try:
        width, height = torch_pipeline.sizes[0]
        x, times = torch.randn(1, *torch_pipeline.latent_shape(width, height)), torch.tensor([9.0])
        prompts = Prompts(texts=("fox",), width=width, height=height)
        conditioning: Conditioning = torch_pipeline.encode(prompts)
        dressed = fast(x, times, conditioning, "style")
        assert torch.equal(dressed, torch_pipeline.denoise(x, times, conditioning, "style"))
        assert largest_gap(dressed, fast(x, times, conditioning)) > 10 * TOLERANCE
    finally:
        torch_pipeline.denoise.adapters.unload("style")


def test_a_second_opening_reads_what_the_first_wrote(
    folder, torch_pipeline, networks, cache_dir
) -> None:
    written = {path: path.stat().st_mtime_ns for path in cache_dir.rglob("*")}
    assert len([path for path in written if path.name == "graph.xml"]) == 3
    again = opened(folder, torch_pipeline, cache_dir)
    assert {path: path.stat().st_mtime_ns for path in cache_dir.rglob("*")} == written
    assert again.packed_bytes == networks.packed_bytes
