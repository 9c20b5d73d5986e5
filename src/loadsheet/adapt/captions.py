"""Captions for a concept in a style: what people type, and how often each phrasing is drawn.

The first style is the default look, so its captions usually carry no style word; every caption of
another style does. A bare "rocket" then draws the default look, "a flat emoji of rocket" the flat
one.
"""

from dataclasses import dataclass

from loadsheet.adapt.concepts import Concept


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """One look. `word` is its style word; `share` its share of the denoiser's training samples.

    A style of share 0 teaches only the autoencoder.
    """

    key: str
    word: str
    share: float
    is_default: bool = False


STYLES = (
    Style(key="noto", word="noto", share=0.84, is_default=True),
    Style(key="fluent-emoji-flat", word="flat", share=0.16),
    Style(key="noto-v1", word="blob", share=0.0),
)


@dataclass(frozen=True, slots=True)
class Caption:
    """A phrasing and its sampling weight among the captions of one image."""

    text: str
    weight: float


def captions(concept: Concept, style: Style) -> list[Caption]:
    """All phrasings for one image, distinct, heaviest kept when two coincide."""
    plain = _plain(concept)
    if style.is_default:
        phrases = [*plain, Caption(f"a {style.word} emoji of {concept.simple_name}", 0.5)]
    else:
        phrases = [Caption(f"a {style.word} emoji of {c.text}", c.weight) for c in plain[:2]]
        phrases += [Caption(f"{concept.simple_name}, {style.word}", 0.5)]
    heaviest: dict[str, float] = {}
    for phrase in phrases:
        heaviest[phrase.text] = max(phrase.weight, heaviest.get(phrase.text, 0.0))
    return [Caption(text, weight) for text, weight in heaviest.items()]


def article(noun: str) -> str:
    """ "a" or "an" by first letter: good enough for captions."""
    return "an" if noun[:1].lower() in "aeiou" else "a"


def _plain(concept: Concept) -> list[Caption]:
    name, simple = concept.name, concept.simple_name
    phrases = [
        Caption(name, 1.5),
        Caption(simple, 1.5),
        Caption(f"{article(name)} {name}", 1.0),
        Caption(f"{article(simple)} {simple}", 1.0),
        Caption(f"{simple}, emoji", 0.5),
        Caption(f"an emoji of {article(simple)} {simple}", 0.5),
    ]
    phrases += [Caption(f"{simple}, {keyword}", 0.15) for keyword in concept.keywords[:3]]
    return phrases + [Caption(keyword, 0.04) for keyword in concept.keywords[:4]]
