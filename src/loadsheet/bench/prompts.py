"""Prompts of a wanted length in tokens, without the server's tokenizer.

Plain words are about one token each for common vocabularies, but templates add tokens and small
vocabularies split words. Two probe requests of known word counts give the server's own line
`tokens = template + per_word × words`; from then on a wanted length becomes a number of words.
Every prompt begins differently, so that a prefix cache does not answer instead of the model.
"""

from dataclasses import dataclass

import numpy as np

_VOCABULARY = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book "
    "eye job word business issue side kind head house service friend father power hour game line "
    "end member law car city name president team minute idea body information back parent face "
    "others level office door health person art war history party result change morning reason "
    "research girl guy moment air teacher force education foot boy age policy music market sense "
    "nation plan college interest death course someone experience behind report role effect rest "
    "heart drug show leader light voice wife police mind price return son view need board field "
    "action model season tax player record event sound film town road arm note wall ground stage "
    "paper river space summer winter garden table window glass stone bird horse tree flower fire"
)
_WORDS = tuple(_VOCABULARY.split())

_SUBJECTS = (
    "a red apple", "a smiling cat", "a rocket", "a green tree", "a blue house", "a yellow star",
    "a bicycle", "a cup of coffee", "a guitar", "a snowman", "a whale", "a slice of pizza",
    "a lighthouse", "a bee", "a treasure map", "a sailing boat",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLine:
    """The server's `tokens = template_tokens + tokens_per_word × words`."""

    template_tokens: float = 0.0
    tokens_per_word: float = 1.0

    def words_for(self, tokens: int) -> int:
        """At least one word: an empty prompt is an error on most servers."""
        return max(1, round((tokens - self.template_tokens) / self.tokens_per_word))


def fit_line(points: tuple[tuple[int, int], tuple[int, int]]) -> TokenLine:
    """From (words, tokens) of two probes; the default line where they make no sense."""
    (few_words, few_tokens), (many_words, many_tokens) = points
    slope = (many_tokens - few_tokens) / (many_words - few_words)
    if slope <= 0:
        return TokenLine()
    return TokenLine(template_tokens=few_tokens - slope * few_words, tokens_per_word=slope)


def text_prompt(num_words: int, rng: np.random.Generator) -> str:
    return " ".join([_WORDS[pick] for pick in rng.integers(len(_WORDS), size=num_words)])


def image_prompt(rng: np.random.Generator) -> str:
    return _SUBJECTS[int(rng.integers(len(_SUBJECTS)))]
