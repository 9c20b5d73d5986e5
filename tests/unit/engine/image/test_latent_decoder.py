"""Pixels from latents: scale, shift, range, bytes."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from loadsheet.engine.image.latent_decoder import LatentDecoder, to_pixels


def tiny_vae(**options: object) -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(4, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=3,
        norm_num_groups=4,
        **options,
    ).eval()


@pytest.mark.parametrize("shift", [None, 0.3])
def test_latents_are_scaled_then_shifted(shift: float | None) -> None:
    vae = tiny_vae(scaling_factor=0.5, shift_factor=shift)
    decoder = LatentDecoder(vae)
    latents = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        pixels = decoder(latents)
        expected = vae.decode(latents / 0.5 + (shift or 0.0)).sample
    assert pixels.shape == (2, 3, 16, 24)
    assert torch.equal(pixels, expected)
    assert (decoder.factor, decoder.latent_channels) == (4, 3)


def test_pixels_cover_the_range_and_clip_outside() -> None:
    x_CHW = torch.tensor([[[-1.0, 0.0]], [[1.0, 7.0]], [[-3.0, 0.5]]])
    pixels = to_pixels(x_CHW)
    assert pixels.dtype == np.uint8
    # 0 → 127.5, rounded to even 128; 0.5 → 191.25
    assert pixels.tolist() == [[[0, 255, 0], [128, 255, 191]]]


def test_peak_bytes_grow_with_pixels_batch_and_format() -> None:
    decoder = LatentDecoder(tiny_vae())
    # four maps of 8 channels of 4 bytes on 16×8 pixels
    assert decoder.peak_bytes(16, 8, batch=1) == 4 * 8 * 4 * 128
    assert decoder.peak_bytes(16, 8, batch=3) == 3 * decoder.peak_bytes(16, 8, batch=1)
    half = LatentDecoder(tiny_vae().to(torch.bfloat16))
    assert half.peak_bytes(16, 8, batch=1) * 2 == decoder.peak_bytes(16, 8, batch=1)
