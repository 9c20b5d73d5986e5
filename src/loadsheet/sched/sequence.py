"""One text request inside the scheduler."""

from dataclasses import dataclass, field

from loadsheet.sched.limits import TextLimits
from loadsheet.workload.request import TextRequest


def blocks_for(num_tokens: int, block_tokens: int) -> int:
    return -(-num_tokens // block_tokens)


def worst_blocks(request: TextRequest, limits: TextLimits) -> int:
    """Cache blocks if every allowed output token is produced."""
    return blocks_for(request.prompt_tokens + request.max_output_tokens, limits.block_tokens)


@dataclass(slots=True, eq=False)
class Sequence:
    """`order` counts arrivals; `first_token_due_s` is infinite once it was given up.

    What follows `is_decoding` is set when it starts to decode. Iterations are those of its group:
    it decodes in iterations join_it + 1, join_it + 2, …
    """

    request: TextRequest
    order: int
    first_token_due_s: float
    worst_blocks: int
    prefilled_tokens: int = 0
    block_ids: list[int] = field(default_factory=list)
    is_started: bool = False
    is_decoding: bool = False
    join_it: int = 0
    grow_phase: int = 0  # it needs a block before iterations of this remainder by block_tokens
    key_s: float = 0.0  # static deadline key, see token_deadlines

    @property
    def request_id(self) -> str:
        return self.request.request_id

    @property
    def prompt_left(self) -> int:
        return self.request.prompt_tokens - self.prefilled_tokens

    @property
    def last_it(self) -> int:
        """The iteration that gives its last allowed token."""
        return self.join_it + self.request.max_output_tokens - 1

    @property
    def urgency(self) -> tuple[float, int]:
        return self.first_token_due_s, self.order

    def cached_tokens(self, it: int) -> int:
        """Tokens in the cache after `it` iterations of its group."""
        return self.request.prompt_tokens + it - self.join_it
