"""Sampling weights add up, and captions stay with their pictures."""

import pytest
import torch

from loadsheet.adapt.captions import STYLES
from loadsheet.adapt.concepts import Concept
from loadsheet.adapt.gallery import Picture
from loadsheet.adapt.samples import (
    EMPTY_CAPTION_IDX,
    VARIANT_WEIGHT,
    Samples,
    caption_table,
    picture_weights,
)


def picture(image_idx, name, style, weight=1.0, variant=0):
    concept = Concept(character=name, name=name, group="Objects", weight=weight)
    return Picture(image_idx=image_idx, concept=concept, style=style, variant=variant)


PICTURES = (
    picture(0, "lamp", STYLES[0], weight=3.0),
    picture(1, "rope", STYLES[0], weight=1.0),
    picture(2, "lamp", STYLES[1]),
    picture(3, "rope", STYLES[1], variant=0),
    picture(4, "rope", STYLES[1], variant=1),
)


def test_each_style_gets_its_share_and_each_concept_its_weight():
    weights = picture_weights(PICTURES)
    assert weights.sum().item() == pytest.approx(1)
    assert weights[0].item() == pytest.approx(0.75 * STYLES[0].share)
    # two plain drawings and one moved one: 1 + 1 + VARIANT_WEIGHT
    total = 2 + VARIANT_WEIGHT
    assert weights[2:].tolist() == pytest.approx(
        [STYLES[1].share * weight / total for weight in (1, 1, VARIANT_WEIGHT)]
    )


def test_caption_zero_is_empty_and_shared_captions_are_stored_once():
    table = caption_table(PICTURES)
    assert table.texts[EMPTY_CAPTION_IDX] == ""
    assert len(set(table.texts)) == len(table.texts)
    assert torch.equal(table.idx_by_picture[3], table.idx_by_picture[4])


def test_draws_pair_each_latent_with_one_of_its_captions():
    table = caption_table(PICTURES)
    latents = torch.arange(5.0).view(5, 1, 1, 1)
    samples = Samples(latents, picture_weights(PICTURES), table)
    drawn, caption_idx = samples.draw(200, 0.0, torch.Generator().manual_seed(0))
    for row, caption in zip(drawn.flatten().int().tolist(), caption_idx, strict=True):
        assert caption in table.idx_by_picture[row].tolist()


def test_the_empty_share_is_respected():
    table = caption_table(PICTURES)
    samples = Samples(torch.zeros(5, 1, 1, 1), picture_weights(PICTURES), table)
    _, caption_idx = samples.draw(2000, 0.25, torch.Generator().manual_seed(0))
    assert caption_idx.count(EMPTY_CAPTION_IDX) == pytest.approx(500, abs=80)
