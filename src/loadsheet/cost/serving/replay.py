"""Requests through a continuously batching engine, iteration by iteration, jumping where it can.

Decodes go first, prompts fill what is left of the token budget (chunked prefill, Sarathi-Serve).
While nothing is prefilled, iterations up to the next completion or arrival are taken in one jump
at their mean context. A next request may be released by a completion (closed loop).
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from loadsheet.cost.serving.iteration_cost import IterationCost
from loadsheet.errors import CapacityError, ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    at_s: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sequences at once, cache tokens, and tokens per iteration. An engine that does not mix lets
    decodes wait while prompts are prefilled."""

    max_sequences: int
    kv_tokens: int
    token_slots: int
    is_mixed: bool = True

    def __post_init__(self) -> None:
        for name, value in (
            ("max_sequences", self.max_sequences),
            ("kv_tokens", self.kv_tokens),
            ("token_slots", self.token_slots),
        ):
            if value < 1:
                raise ConfigError(f"{name} is {value}; it must be 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """`first_s` and `last_s` are when the first and last token left."""

    arrival: Arrival
    first_s: float
    last_s: float

    @property
    def ttft_s(self) -> float:
        return self.first_s - self.arrival.at_s

    @property
    def tpot_s(self) -> float:
        return (self.last_s - self.first_s) / max(self.arrival.output_tokens - 1, 1)


@dataclass(slots=True)
class _Prompt:
    arrival: Arrival
    done: int = 0


@dataclass(slots=True)
class Replay:
    """`released` more requests enter when one completes, one each (closed loop)."""

    cost: IterationCost
    limits: Limits
    released: deque[tuple[int, int]] = field(default_factory=deque)
    _now_s: float = 0.0
    _iteration: int = 0
    _tokens_held: int = 0
    _prompts: deque[_Prompt] = field(default_factory=deque)
    # (finishing iteration, order, arrival, first token's time)
    _running: list[tuple[int, int, Arrival, float]] = field(default_factory=list)
    _context_sum: float = 0.0
    _served: list[Served] = field(default_factory=list)
    _order: int = 0

    def run(self, arrivals: Iterable[Arrival]) -> list[Served]:
        """In order of completion. Raises CapacityError for a request that can never fit."""
        waiting = deque(sorted(arrivals, key=lambda arrival: arrival.at_s))
        while waiting or self._running or self._prompts:
            if not self._running and not self._prompts and waiting[0].at_s > self._now_s:
                self._now_s = waiting[0].at_s
            self._admit(waiting)
            if self._prompts:
                self._mixed_iteration()
            else:
                self._jump(waiting[0].at_s if waiting else None)
            self._finish(waiting)
        return self._served

    def _admit(self, waiting: deque[Arrival]) -> None:
        while waiting and waiting[0].at_s <= self._now_s:
            need = waiting[0].input_tokens + waiting[0].output_tokens
            if need > self.limits.kv_tokens:
                raise CapacityError(
                    f"a request of {need} tokens never fits a cache of {self.limits.kv_tokens}"
                )
            active = len(self._running) + len(self._prompts)
            if active >= self.limits.max_sequences:
                return
            if self._tokens_held + need > self.limits.kv_tokens:
                return
            self._tokens_held += need
            self._prompts.append(_Prompt(arrival=waiting.popleft()))

    def _mixed_iteration(self) -> None:
        mixes = self.limits.is_mixed
        batch = len(self._running) if mixes else 0
        room = max(self.limits.token_slots - batch, 1)
        taken, cached, ready = 0, 0, []
        for prompt in self._prompts:
            chunk = min(room - taken, prompt.arrival.input_tokens - prompt.done)
            if chunk <= 0:
                break
            cached += chunk * prompt.done
            taken += chunk
            prompt.done += chunk
            if prompt.done == prompt.arrival.input_tokens:
                ready.append(prompt)
        context = self._context_sum / batch if batch else 0.0
        self._now_s += self.cost.mixed_s(batch, context, taken, round(cached / taken))
        if mixes:
            self._iteration += 1
            self._context_sum += batch
        for prompt in ready:
            self._prompts.popleft()
            self._start(prompt.arrival)

    def _start(self, arrival: Arrival) -> None:
        self._order += 1
        finish = self._iteration + arrival.output_tokens - 1
        heapq.heappush(self._running, (finish, self._order, arrival, self._now_s))
        self._context_sum += arrival.input_tokens + 1

    def _jump(self, next_arrival_s: float | None) -> None:
        batch = len(self._running)
        if not batch:
            return
        steps = max(self._running[0][0] - self._iteration, 0)
        if steps == 0:
            return
        context = self._context_sum / batch
        is_full = batch >= self.limits.max_sequences
        # one that is there already waits for room, that is for a completion
        if next_arrival_s is not None and next_arrival_s > self._now_s and not is_full:
            once_s = self.cost.decode_s(batch, context)
            until = (next_arrival_s - self._now_s) / once_s
            steps = min(steps, max(math.ceil(until), 1))
        self._now_s += steps * self.cost.decode_s(batch, context + steps / 2)
        self._iteration += steps
        self._context_sum += steps * batch

    def _finish(self, waiting: deque[Arrival]) -> None:
        while self._running and self._running[0][0] <= self._iteration:
            _, _, arrival, first_s = heapq.heappop(self._running)
            held = arrival.input_tokens + arrival.output_tokens
            self._tokens_held -= held
            self._context_sum -= held
            self._served.append(Served(arrival=arrival, first_s=first_s, last_s=self._now_s))
            if self.released:
                tokens, output = self.released.popleft()
                waiting.append(Arrival(at_s=self._now_s, input_tokens=tokens, output_tokens=output))
