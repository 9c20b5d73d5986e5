"""A tiny denoiser trains one step, generates, and survives the trip through a model folder."""

import json

import pytest
import torch

from loadsheet.adapt.autoencoder import AutoencoderConfig, build_autoencoder
from loadsheet.adapt.captions import STYLES
from loadsheet.adapt.concepts import Concept
from loadsheet.adapt.contact_sheet import LABEL_HEIGHT, PROMPTS_ACROSS, contact_sheet, sample_images
from loadsheet.adapt.denoiser import DenoiserConfig, DenoiserLoss, build_denoiser, generate
from loadsheet.adapt.gallery import Picture
from loadsheet.adapt.model_folder import SamplingConfig, read_model, write_model
from loadsheet.adapt.samples import Samples, caption_table, picture_weights
from loadsheet.adapt.text import CaptionCache, Conditioning, pooled

TINY = DenoiserConfig(
    sample_size=8,
    latent_channels=2,
    block_out_channels=(8, 16),
    num_heads=2,
    norm_num_groups=4,
    batch_size=3,
)
TINY_IMAGES = AutoencoderConfig(
    image_size=16, latent_channels=2, block_out_channels=(4, 8), norm_num_groups=2
)
WIDTH = 384


class FakeEncoder:
    """Random token states of a fixed length per caption, as the real encoder shapes them."""

    def __call__(self, captions):
        generator = torch.Generator().manual_seed(len(captions[0]))
        tokens = torch.randn(len(captions), 6, WIDTH, generator=generator)
        mask = torch.ones(len(captions), 6)
        mask[:, 3:] = 0
        return Conditioning(tokens_BTD=tokens, mask_BT=mask, pooled_BD=pooled(tokens, mask))


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return build_denoiser(TINY)


def test_pooled_ignores_padding_and_has_unit_variance_scale():
    tokens = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    found = pooled(tokens, mask)
    torch.testing.assert_close(found.norm(dim=1), torch.full((2,), WIDTH**0.5))
    torch.testing.assert_close(found[0], pooled(tokens[:1, :2], mask[:1, :2])[0])


def test_cached_captions_come_back_masked():
    cache = CaptionCache.encode(FakeEncoder(), ["", "red", "blue"], batch_size=2)
    batch = cache.batch([1, 0])
    assert batch.tokens_BTD.shape == (2, 3, WIDTH)
    assert batch.mask_BT.tolist() == [[1, 1, 1], [1, 1, 1]]
    torch.testing.assert_close(batch.pooled_BD[1], cache.pooled_ND[0])


def test_short_captions_are_padded_beside_long_ones():
    cache = CaptionCache([torch.ones(1, WIDTH), torch.ones(4, WIDTH)], torch.zeros(2, WIDTH))
    assert cache.batch([0, 1]).mask_BT.tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]


def test_padding_does_not_change_the_prediction(denoiser):
    text = FakeEncoder()(["a"])
    short = Conditioning(
        tokens_BTD=text.tokens_BTD[:, :3], mask_BT=text.mask_BT[:, :3], pooled_BD=text.pooled_BD
    )
    noise = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    sampling = SamplingConfig(num_steps=2)
    found = [generate(denoiser.eval(), c, c, noise, sampling) for c in (text, short)]
    torch.testing.assert_close(found[0], found[1])


def test_loss_reaches_every_weight(denoiser):
    concept = Concept(character="k", name="key", group="Objects", weight=1.0)
    pictures = [Picture(image_idx=0, concept=concept, style=STYLES[0], variant=0)]
    table = caption_table(pictures)
    cache = CaptionCache.encode(FakeEncoder(), table.texts)
    samples = Samples(torch.randn(1, 2, 8, 8), picture_weights(pictures), table)
    loss = DenoiserLoss(samples, cache, TINY)(denoiser, 0, torch.Generator().manual_seed(0))
    loss.backward()
    assert loss.item() > 0
    assert all(p.grad is not None for p in denoiser.parameters())


def test_model_folder_round_trip(denoiser, tmp_path):
    autoencoder = build_autoencoder(TINY_IMAGES)
    write_model(tmp_path, autoencoder, denoiser, SamplingConfig(guidance_scale=2.5, shift=1.5))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model_index.json",
        "scheduler",
        "unet",
        "vae",
    ]
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["loadsheet"]["default_guidance_scale"] == 2.5
    assert index["loadsheet"]["native_size"] == [16, 16]
    scheduler = json.loads((tmp_path / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler["shift"] == 1.5
    read = read_model(tmp_path)[1]
    for mine, theirs in zip(denoiser.parameters(), read.parameters(), strict=True):
        torch.testing.assert_close(mine.half().float(), theirs)


def test_contact_sheet_shows_every_prompt(denoiser):
    models = build_autoencoder(TINY_IMAGES).eval(), denoiser.eval()
    prompts = ["a", "b", "c", "d"]
    images = sample_images(models, FakeEncoder(), prompts, 2, SamplingConfig(num_steps=2))
    assert images.shape == (4, 2, 16, 16, 3)
    sheet = contact_sheet(prompts, images)
    assert sheet.size == (PROMPTS_ACROSS * (2 * 16 + 8), 2 * (16 + LABEL_HEIGHT))
