import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadsheet.bench.prompts import TokenLine, fit_line, image_prompt, text_prompt


@given(template=st.integers(0, 60), per_word=st.integers(1, 4), wanted=st.integers(100, 5000))
def test_two_probes_are_enough_to_hit_a_length(template, per_word, wanted):
    def tokens(words):
        return template + per_word * words

    line = fit_line(((8, tokens(8)), (40, tokens(40))))
    assert abs(tokens(line.words_for(wanted)) - wanted) <= per_word / 2


def test_a_server_that_counts_nonsense_leaves_the_default():
    assert fit_line(((8, 30), (40, 30))) == TokenLine()


def test_a_prompt_is_never_empty():
    assert TokenLine(template_tokens=100.0).words_for(5) == 1


def test_prompts_have_the_asked_number_of_words_and_differ():
    rng = np.random.default_rng(0)
    prompts = [text_prompt(30, rng) for _ in range(20)]
    assert {len(prompt.split()) for prompt in prompts} == {30}
    assert len({" ".join(prompt.split()[:4]) for prompt in prompts}) == 20  # no shared prefix


def test_image_prompts_repeat_with_the_seed():
    assert image_prompt(np.random.default_rng(5)) == image_prompt(np.random.default_rng(5))


@pytest.mark.parametrize("words", [1, 500])
def test_default_line_is_a_word_per_token(words):
    assert TokenLine().words_for(words) == words
