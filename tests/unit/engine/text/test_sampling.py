"""Draws are checked against the distribution they claim to have, and against each other."""

import random

import pytest
import torch

from loadsheet.engine.text.device_draw import draw_on_device
from loadsheet.engine.text.sampling import Sampler, sample
from loadsheet.runtime.payload import Sampling

PROBS = torch.tensor([0.05, 0.4, 0.0, 0.3, 0.15, 0.1])
LOGITS_V = PROBS.clamp_min(1e-30).log()
NUM_DRAWS = 4000


def frequencies(sampling: Sampling) -> torch.Tensor:
    sampler = Sampler(sampling, random.Random(3))
    drawn = [sample(LOGITS_V[None], [sampler])[0] for _ in range(NUM_DRAWS)]
    return torch.bincount(torch.tensor(drawn), minlength=len(PROBS)) / NUM_DRAWS


def device_frequencies(sampling: Sampling) -> torch.Tensor:
    generator = random.Random(4)
    uniforms = [generator.random() for _ in range(NUM_DRAWS)]
    drawn = draw_on_device(LOGITS_V.expand(NUM_DRAWS, -1), [sampling] * NUM_DRAWS, uniforms)
    return torch.bincount(torch.tensor(drawn), minlength=len(PROBS)) / NUM_DRAWS


@pytest.mark.parametrize("measure", [frequencies, device_frequencies])
@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), PROBS),
        # softmax(2 · log p) = p² / Σp²
        (Sampling(temperature=0.5), PROBS**2 / (PROBS**2).sum()),
        (Sampling(top_k=2), torch.tensor([0, 4, 0, 3, 0, 0]) / 7),
        (Sampling(top_k=1), torch.tensor([0, 1.0, 0, 0, 0, 0])),
        (Sampling(top_k=99), PROBS),
        # 0.4 + 0.3 falls short of 0.75, so 0.15 joins
        (Sampling(top_p=0.75), torch.tensor([0, 0.4, 0, 0.3, 0.15, 0]) / 0.85),
        (Sampling(top_p=0.01), torch.tensor([0, 1.0, 0, 0, 0, 0])),
        # of what top-k left (0.4, 0.3, 0.15), 0.4 / 0.85 falls short of a half: 0.3 joins
        (Sampling(top_k=3, top_p=0.5), torch.tensor([0, 4, 0, 3, 0, 0]) / 7),
        # of what top-k left (0.4, 0.3), 0.4 / 0.7 reaches 0.55: 0.4 alone
        (Sampling(top_k=2, top_p=0.55), torch.tensor([0, 1.0, 0, 0, 0, 0])),
    ],
)
def test_draws_follow_the_distribution(measure, sampling, expected) -> None:
    found = measure(sampling)
    assert (found[expected == 0] == 0).all()
    # four standard deviations of a frequency, at most 4 · √(0.25 / 4000)
    assert (found - expected).abs().max() < 0.032


def test_greedy_takes_the_first_of_the_largest() -> None:
    logits = torch.zeros(3, 600)
    logits[0, 599] = 1.0
    logits[1, [300, 301, 599]] = 2.0
    logits[2] = -5.0
    greedy = Sampler.from_sampling(Sampling(temperature=0))
    assert sample(logits, [greedy] * 3) == [599, 300, 0]
    assert sample(logits.bfloat16(), [greedy] * 3) == [599, 300, 0]


@pytest.mark.parametrize("vocab_size", [1, 7, 255, 256, 258, 4096])
def test_greedy_is_argmax_for_any_vocabulary(vocab_size) -> None:
    logits = torch.randn(20, vocab_size, generator=torch.Generator().manual_seed(vocab_size))
    greedy = Sampler.from_sampling(Sampling(temperature=0))
    assert sample(logits, [greedy] * 20) == logits.argmax(dim=-1).tolist()


def test_a_row_does_not_depend_on_its_batch() -> None:
    logits = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0))
    settings = [
        Sampling(seed=1),
        Sampling(temperature=0),
        Sampling(temperature=2.0, top_p=0.99, seed=2),
        Sampling(top_k=50, seed=3),
    ]
    batched = [Sampler.from_sampling(one) for one in settings]
    alone = [Sampler.from_sampling(one) for one in settings]
    for _ in range(20):
        tokens = sample(logits, batched)
        assert tokens == [sample(logits[row : row + 1], [alone[row]])[0] for row in range(4)]


def test_seeds_repeat_and_differ() -> None:
    logits = torch.zeros(1, 1000)
    draws = {
        seed: [sample(logits, [sampler])[0] for _ in range(10)]
        for seed in (1, 2)
        for sampler in [Sampler.from_sampling(Sampling(seed=seed))]
    }
    again = Sampler.from_sampling(Sampling(seed=1))
    assert draws[1] == [sample(logits, [again])[0] for _ in range(10)]
    assert draws[1] != draws[2]
    unseeded = [Sampler.from_sampling(Sampling()) for _ in range(2)]
    first, second = ([sample(logits, [one])[0] for _ in range(10)] for one in unseeded)
    assert first != second


def test_a_wide_nucleus_looks_at_the_whole_vocabulary() -> None:
    """Uniform over 10 000 tokens: 99 % of the mass is 9900 tokens, more than the likely few."""
    logits = torch.zeros(1, 10_000)
    logits += torch.arange(10_000) * 1e-6  # no ties, so the cut is exact
    sampler = Sampler(Sampling(top_p=0.99), random.Random(0))
    drawn = [sample(logits, [sampler])[0] for _ in range(3000)]
    assert min(drawn) >= 99
    assert min(drawn) < 300
    assert max(drawn) > 9900


class Constant(random.Random):
    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("uniform", "expected"), [(0.0, 1), (0.5, 1), (0.999_999_999_999_999_9, 300)]
)
def test_the_ends_of_the_unit_interval_never_draw_the_impossible(uniform, expected) -> None:
    logits = torch.full((1, 512), -torch.inf)
    logits[0, 1] = logits[0, 300] = 0.0
    logits[0, 1] = 1.0
    for sampling in (Sampling(), Sampling(top_p=0.999), Sampling(top_k=2)):
        assert sample(logits, [Sampler(sampling, Constant(uniform))]) == [expected]
        assert draw_on_device(logits, [sampling], [uniform]) == [expected]


def test_a_tiny_temperature_is_greedy() -> None:
    sampler = Sampler.from_sampling(Sampling(temperature=1e-30, seed=0))
    assert sample(LOGITS_V[None], [sampler]) == [1]
