"""The twin in JAX computes what torch computes, whole and token by token."""

import numpy as np
import pytest
import torch

from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.jax_generate import load_jax_decoder
from loadsheet.engine.text.weights import load_decoder
from loadsheet.errors import SpecError
from loadsheet.runtime.payload import Sampling

PROMPT = tuple(b"two frameworks, one text: ")


@pytest.mark.parametrize(
    "family", ["llama-untied", "llama-tied", "llama-head-dim", "llama-3-rope", "llama-linear-rope"]
)
def test_logits_and_greedy_text_equal_those_of_torch(family_folder, fp32, family):
    folder = family_folder(family)
    ours, twin = load_decoder(folder, fp32), load_jax_decoder(folder)
    text = list(generate(ours, PROMPT, max_output_tokens=64, sampling=Sampling(temperature=0.0)))
    assert list(twin.generate(PROMPT, max_output_tokens=64)) == text
    assert len(set(text)) > 1  # a loop of one token would prove little

    token_ids = [*PROMPT, *text]
    with torch.inference_mode():
        hidden = ours.hidden(
            torch.tensor(token_ids),
            torch.arange(len(token_ids)),
            ContiguousAttention(ours, len(token_ids)),
        )
        expected = ours.logits(hidden).numpy()
    assert np.abs(expected).max() > 1
    assert np.abs(np.asarray(twin.logits(token_ids)) - expected).max() <= 1e-4


def test_an_end_token_ends_it_unseen(folder):
    twin = load_jax_decoder(folder)
    text = list(twin.generate(PROMPT, max_output_tokens=12))
    stopped = list(twin.generate(PROMPT, max_output_tokens=12, eos_ids={text[5]}))
    assert stopped == text[: text.index(text[5])]


def test_biases_are_refused(family_folder):
    with pytest.raises(SpecError, match="no biases"):
        load_jax_decoder(family_folder("qwen2"))
