"""The replay engine on hand-made costs: every time below can be added up on paper."""

import dataclasses
from collections import deque

import pytest

from loadsheet.cost.serving.iteration_cost import IterationCost
from loadsheet.cost.serving.load import Lengths, closed_loop, open_loop
from loadsheet.cost.serving.replay import Arrival, Limits, Replay
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import of

MODEL = TextModel(
    component=Catalog().component("llama-3.1-8b", "decoder"),
    device=DeviceCatalog().find("h100-sxm-80gb"),
    precision=of("bf16"),
)
ENGINE = text_engine("vllm")
ROOMY = Limits(max_sequences=64, kv_tokens=10**6, token_slots=1000)


class FlatCost(IterationCost):
    """One second per prompt iteration, a quarter per decode iteration, whatever is inside."""

    def decode_s(self, batch: int, context: float) -> float:
        return 0.25

    def mixed_s(self, batch: int, context: float, tokens: int, cached: int) -> float:
        return 1.0


def replay(limits: Limits, released: deque[tuple[int, int]] | None = None) -> Replay:
    cost = FlatCost(model=MODEL, engine=ENGINE, contexts=(512, 1024))
    return Replay(cost=cost, limits=limits, released=released or deque())


def arrival(at_s: float = 0.0, tokens: int = 100, output: int = 5) -> Arrival:
    return Arrival(at_s=at_s, input_tokens=tokens, output_tokens=output)


def test_one_request_is_one_prompt_iteration_and_its_decodes() -> None:
    (one,) = replay(ROOMY).run([arrival()])
    assert one.ttft_s == 1.0
    assert one.last_s == pytest.approx(1.0 + 4 * 0.25)
    assert one.tpot_s == pytest.approx(0.25)


def test_a_long_prompt_takes_an_iteration_per_chunk() -> None:
    (one,) = replay(ROOMY).run([arrival(tokens=2500)])
    assert one.ttft_s == 3.0


def test_a_prompt_beside_decodes_stretches_one_gap() -> None:
    late = arrival(at_s=1.25)
    first, second = replay(ROOMY).run([arrival(), late])
    # 1.0, then .25 up to the arrival, a mixed second, two more decodes of both
    assert first.last_s == pytest.approx(1.0 + 0.25 + 1.0 + 2 * 0.25)
    assert second.ttft_s == pytest.approx(1.0)


def test_an_engine_that_does_not_mix_lets_decodes_wait() -> None:
    limits = dataclasses.replace(ROOMY, is_mixed=False)
    first, _ = replay(limits).run([arrival(), arrival(at_s=1.25)])
    assert first.last_s == pytest.approx(1.0 + 0.25 + 1.0 + 3 * 0.25)  # no token in the prompt's


def test_what_does_not_fit_waits_for_a_completion() -> None:
    tight = dataclasses.replace(ROOMY, kv_tokens=150)  # one request of 105 tokens at a time
    first, second = replay(tight).run([arrival(), arrival()])
    assert second.first_s == pytest.approx(first.last_s + 1.0)


def test_what_can_never_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(CapacityError, match="105 tokens never fits a cache of 50"):
        replay(dataclasses.replace(ROOMY, kv_tokens=50)).run([arrival()])


def test_a_completion_releases_the_next_request() -> None:
    served = replay(ROOMY, deque([(100, 5)] * 3)).run([arrival()])
    assert len(served) == 4
    assert served[-1].last_s == pytest.approx(4 * 2.0)


def test_an_idle_engine_waits_for_the_arrival() -> None:
    (one,) = replay(ROOMY).run([arrival(at_s=7.0)])
    assert one.first_s == 8.0


def test_more_load_is_slower_and_yields_more() -> None:
    lengths = Lengths(input_tokens=512, output_tokens=64)
    few, many = (closed_loop(MODEL, ENGINE, lengths, size) for size in (4, 64))
    assert many.ttft_s > few.ttft_s
    assert many.tpot_s > few.tpot_s
    assert many.output_tokens_per_s > 3 * few.output_tokens_per_s


def test_an_unhurried_open_loop_yields_what_is_offered() -> None:
    lengths = Lengths(input_tokens=128, output_tokens=32)
    latency = open_loop(MODEL, ENGINE, lengths, rate_rps=2.0, num_requests=200)
    assert latency.output_tokens_per_s == pytest.approx(2 * 32, rel=0.15)


def test_absurd_loads_are_refused() -> None:
    with pytest.raises(ConfigError, match="rate 0"):
        open_loop(MODEL, ENGINE, Lengths(input_tokens=1, output_tokens=1), 0, 10)
    with pytest.raises(ConfigError, match="concurrency is 0"):
        closed_loop(MODEL, ENGINE, Lengths(input_tokens=1, output_tokens=1), 0)


def test_learned_positions_bound_what_is_priced() -> None:
    small = dataclasses.replace(MODEL, component=Catalog().component("gpt2", "decoder"))
    latency = closed_loop(small, ENGINE, Lengths(input_tokens=512, output_tokens=64), 4)
    assert 0 < latency.tpot_s < 0.01
