import torch

from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.weights import load_decoder
from loadsheet.runtime.payload import Sampling

GREEDY = Sampling(temperature=0)


def uncached(decoder, prompt: list[int], num: int) -> list[int]:
    """Greedy, with the whole text read anew for every token."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(num):
            attention = ContiguousAttention(decoder, len(ids))
            hidden = decoder.hidden(torch.tensor(ids), torch.arange(len(ids)), attention)
            ids.append(int(decoder.logits(hidden[-1:]).argmax()))
    return ids[len(prompt) :]


def test_the_cache_changes_nothing(folder, fp32) -> None:
    decoder = load_decoder(folder, fp32)
    prompt = [10, 20, 30, 40]
    found = list(generate(decoder, prompt, max_output_tokens=30, sampling=GREEDY))
    assert found == uncached(decoder, prompt, 30)
    assert len(set(found)) > 3  # not stuck on one token: a test that could fail


def test_ends_at_an_end_token_unseen(folder, fp32) -> None:
    decoder = load_decoder(folder, fp32)
    free = list(generate(decoder, [1, 2], max_output_tokens=20, sampling=GREEDY))
    eos = free[6]
    ended = list(generate(decoder, [1, 2], max_output_tokens=20, sampling=GREEDY, eos_ids={eos}))
    assert ended == free[: free.index(eos)]


def test_tokens_come_one_by_one(folder, fp32) -> None:
    decoder = load_decoder(folder, fp32)
    tokens = generate(decoder, [1, 2], max_output_tokens=20, sampling=GREEDY)
    first = next(tokens)
    again = generate(decoder, [1, 2], max_output_tokens=1, sampling=GREEDY)
    assert [first] == list(again)


def test_a_seed_repeats(folder, fp32) -> None:
    decoder = load_decoder(folder, fp32)
    seeded = [
        list(
            generate(
                decoder, [5], max_output_tokens=12, sampling=Sampling(temperature=1.5, seed=seed)
            )
        )
        for seed in (1, 1, 2)
    ]
    assert seeded[0] == seeded[1] != seeded[2]
