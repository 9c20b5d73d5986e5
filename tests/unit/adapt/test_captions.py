"""Captions: everyday phrasings for the default style, a style word for every other."""

import pytest

from loadsheet.adapt.captions import STYLES, article, captions
from loadsheet.adapt.concepts import Concept

APPLE = Concept(
    character="🍎",
    name="red apple",
    group="Food & Drink",
    weight=3.0,
    keywords=("fruit", "school", "delicious", "plant", "mac"),
)
DEFAULT, FLAT, _ = STYLES


def texts(style):
    return [caption.text for caption in captions(APPLE, style)]


def test_default_style_speaks_plainly():
    assert {"red apple", "a red apple", "apple", "an apple", "fruit", "apple, fruit"} <= set(
        texts(DEFAULT)
    )
    assert "a noto emoji of apple" in texts(DEFAULT)


@pytest.mark.parametrize("style", STYLES[1:])
def test_other_styles_always_say_so(style):
    assert all(style.word in text for text in texts(style))


@pytest.mark.parametrize("style", STYLES)
def test_captions_are_distinct_and_weighted(style):
    assert len(set(texts(style))) == len(texts(style))
    assert all(caption.weight > 0 for caption in captions(APPLE, style))


def test_coinciding_phrases_keep_the_heaviest_weight():
    rocket = Concept(character="🚀", name="rocket", group="Travel & Places", weight=3.0)
    weights = {caption.text: caption.weight for caption in captions(rocket, DEFAULT)}
    assert weights["rocket"] == 1.5
    assert weights["a rocket"] == 1.0


def test_exactly_one_style_is_the_default_and_shares_sum_to_one():
    assert [style.is_default for style in STYLES] == [True, False, False]
    assert sum(style.share for style in STYLES) == pytest.approx(1)
    assert "flat" in FLAT.word


@pytest.mark.parametrize(("noun", "expected"), [("apple", "an"), ("pear", "a"), ("Owl", "an")])
def test_article(noun, expected):
    assert article(noun) == expected
