"""Standardising the latents changes their scale and nothing else; losses and shapes by hand."""

import numpy as np
import pytest
import torch

from loadsheet.adapt.autoencoder import (
    AutoencoderConfig,
    AutoencoderLoss,
    DecoderLoss,
    build_autoencoder,
    draw_crops,
    edge_loss,
    encode_all,
    psnr_db,
    standardise,
    to_pixels,
)

TINY = AutoencoderConfig(
    image_size=16,
    latent_channels=2,
    block_out_channels=(4, 8),
    norm_num_groups=2,
    batch_size=8,
    crop_size=8,
)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return build_autoencoder(TINY).eval()


def test_pixels_span_minus_one_to_one():
    pixels = to_pixels(np.array([[[[0, 255, 51]]]], dtype=np.uint8))
    assert pixels.flatten().tolist() == pytest.approx([-1, 1, -0.6])


def test_edge_loss_ignores_a_constant_offset_and_sees_a_step():
    x = torch.zeros(1, 1, 2, 3)
    assert edge_loss(x + 1, x).item() == 0
    step = x.clone()
    step[..., 1:] = 6.0  # one of two horizontal differences is 6, none vertical
    assert edge_loss(step, x).item() == 3.0


@torch.no_grad()
def test_standardise_keeps_images_and_scales_latents(tiny, images):
    pixels = to_pixels(images)
    before = tiny.encode(pixels).latent_dist
    reconstruction = tiny.decode(before.mean).sample
    mean, std = before.mean.mean(dim=(0, 2, 3)), before.mean.std(dim=(0, 2, 3))
    standardise(tiny, before.mean)
    after = tiny.encode(pixels).latent_dist
    torch.testing.assert_close(after.mean.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.mean.std(dim=(0, 2, 3)), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.std * std.view(1, -1, 1, 1), before.std, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        after.mean * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1), before.mean, rtol=0, atol=1e-4
    )
    torch.testing.assert_close(tiny.decode(after.mean).sample, reconstruction, rtol=0, atol=1e-4)


def test_loss_is_a_positive_scalar_for_crops_and_whole_images(tiny, images):
    loss = AutoencoderLoss(images, np.arange(4), TINY)
    for step in (0, TINY.whole_every - 1):
        value = loss(tiny, step, torch.Generator().manual_seed(0))
        assert value.shape == ()
        assert value.item() > 0


def test_crops_cover_as_many_pixels_as_whole_images():
    rows = np.array([5, 7])
    for step, side, count in ((0, 8, 8), (TINY.whole_every - 1, 16, 2)):
        crops = draw_crops(rows, step, torch.Generator().manual_seed(step), TINY)
        assert [crop.side for crop in crops] == [side] * count
        assert {crop.row for crop in crops} <= {5, 7}
        assert all(crop.top % TINY.latent_cell == 0 for crop in crops)
        assert all(crop.left + side <= TINY.image_size for crop in crops)


def test_decoder_loss_leaves_a_frozen_encoder_alone(tiny, images):
    latents = encode_all(tiny, images)
    tiny.encoder.requires_grad_(False)
    tiny.quant_conv.requires_grad_(False)
    loss = DecoderLoss(images, latents, np.arange(6), TINY)
    for step in (0, TINY.whole_every - 1):
        loss(tiny, step, torch.Generator().manual_seed(0)).backward()
    assert all(p.grad is None for p in tiny.encoder.parameters())
    assert all(p.grad is not None for p in tiny.decoder.parameters())


def test_encode_all_covers_every_image(tiny, images):
    assert encode_all(tiny, images, batch_size=4).shape == (6, 2, 8, 8)


def test_psnr_of_a_perfect_and_a_wrong_autoencoder(images):
    class Same:
        sample = None

        def eval(self):
            return self

        def encode(self, x):
            self.latent_dist, self.mean = self, x
            return self

        def decode(self, z):
            self.sample = z + self.error
            return self

    model = Same()
    model.error = 0.02  # 2.55 of 255: 10 log10(100^2) = 40 dB, but for clipped pixels
    grey = np.full((1, 4, 4, 3), 100, dtype=np.uint8)
    assert psnr_db(model, grey) == pytest.approx(40.0, abs=0.01)
