"""Closed loop, open loop and recorded arrivals through one engine: mean latencies."""

import random
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from loadsheet.cost.kernel.silicon import capacity_bytes
from loadsheet.cost.memory import RUNTIME_BYTES, kv_bytes_per_token, weight_bytes
from loadsheet.cost.serving.iteration_cost import IterationCost, spanning
from loadsheet.cost.serving.replay import Arrival, Limits, Replay, Served
from loadsheet.cost.serving.software import TextEngine
from loadsheet.cost.serving.text_step import TextModel, heads_of
from loadsheet.errors import CapacityError, ConfigError

_ROUNDS = 10
_MOST_REQUESTS = 100_000  # of one case; a longer run has the same means
_SEED = 0  # arrivals are one fixed draw, so that the same case gives the same answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Means over requests; `itl_s` over the gaps between tokens."""

    ttft_s: float
    tpot_s: float
    makespan_s: float
    output_tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    input_tokens: int
    output_tokens: int

    def __post_init__(self) -> None:
        if min(self.input_tokens, self.output_tokens) < 1:
            raise ConfigError(
                f"lengths {self.input_tokens} and {self.output_tokens} must be 1 or more"
            )


def closed_loop(
    model: TextModel, engine: TextEngine, lengths: Lengths, concurrency: int
) -> Latency:
    """`concurrency` requests at t = 0; the next is sent when one completes; ten rounds."""
    if concurrency < 1:
        raise ConfigError(f"concurrency is {concurrency}; it must be 1 or more")
    _check_size(_ROUNDS * concurrency)
    pair = (lengths.input_tokens, lengths.output_tokens)
    first = [Arrival(at_s=0.0, input_tokens=pair[0], output_tokens=pair[1])] * concurrency
    cost = IterationCost(
        model=model,
        engine=engine,
        contexts=spanning(sum(pair)),
        prompt_tokens=lengths.input_tokens,
    )
    limits = default_limits(model, engine)
    more = deque([pair] * ((_ROUNDS - 1) * concurrency))
    return summary(Replay(cost=cost, limits=limits, released=more).run(first), engine)


def open_loop(
    model: TextModel, engine: TextEngine, lengths: Lengths, rate_rps: float, num_requests: int
) -> Latency:
    """Poisson arrivals of equal requests."""
    if rate_rps <= 0 or num_requests < 1:
        raise ConfigError(f"rate {rate_rps} and num_requests {num_requests} must be above 0")
    _check_size(num_requests)
    draw, at_s, arrivals = random.Random(_SEED), 0.0, []
    for _ in range(num_requests):
        at_s += draw.expovariate(rate_rps)
        arrivals.append(
            Arrival(
                at_s=at_s, input_tokens=lengths.input_tokens, output_tokens=lengths.output_tokens
            )
        )
    return recorded(model, engine, arrivals, default_limits(model, engine))


def _check_size(num_requests: int) -> None:
    if num_requests > _MOST_REQUESTS:
        raise ConfigError(
            f"{num_requests} requests are more than the {_MOST_REQUESTS} a case may replay; "
            "ask for fewer"
        )


def recorded(
    model: TextModel, engine: TextEngine, arrivals: Sequence[Arrival], limits: Limits
) -> Latency:
    if not arrivals:
        raise ConfigError("there are no requests to replay")
    _check_size(len(arrivals))
    longest = max(arrival.input_tokens + arrival.output_tokens for arrival in arrivals)
    mean = round(statistics.fmean(arrival.input_tokens for arrival in arrivals))
    contexts = spanning(longest)
    cost = IterationCost(model=model, engine=engine, contexts=contexts, prompt_tokens=mean)
    return summary(Replay(cost=cost, limits=limits).run(arrivals), engine)


def default_limits(model: TextModel, engine: TextEngine) -> Limits:
    """What the engine would set: the cache takes the memory that the weights leave."""
    device = model.device
    usable = model.tp * (capacity_bytes(device) * engine.memory_share - RUNTIME_BYTES)
    free = usable - weight_bytes(model.component, model.precision)
    copies = max(1.0, model.tp / heads_of(model.spec))
    tokens = int(free / (kv_bytes_per_token(model.spec, model.precision) * copies))
    if tokens < 1:
        raise CapacityError(
            f"{model.component.name} leaves {free / 1e9:.1f} GB for the cache of "
            f"{model.tp} x {device.name}"
        )
    return Limits(
        max_sequences=engine.max_sequences,
        kv_tokens=tokens,
        token_slots=engine.token_slots,
        is_mixed=engine.is_mixed,
    )


def summary(served: list[Served], engine: TextEngine) -> Latency:
    makespan_s = max(one.last_s for one in served)
    tokens = sum(one.arrival.output_tokens for one in served)
    return Latency(
        ttft_s=statistics.fmean(one.ttft_s for one in served) + engine.request_ms * 1e-3,
        tpot_s=statistics.fmean(one.tpot_s for one in served),
        makespan_s=makespan_s,
        output_tokens_per_s=tokens / makespan_s,
    )
