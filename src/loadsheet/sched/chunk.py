"""How much prefill fits into an iteration."""

from loadsheet.sched.plan import StepKind
from loadsheet.sched.sequence import Sequence
from loadsheet.sched.step_times import StepTimes
from loadsheet.sched.text_group import TextGroup

MIN_CHUNK_TOKENS = 32  # smaller chunks pay more for the iteration than they bring


def text_seconds(group: TextGroup, times: StepTimes, prefill_tokens: int) -> float:
    """Predicted time of an iteration with all decodes and this much of the most urgent prompt."""
    head = group.next_prefill() if prefill_tokens else None
    past_tokens = 0 if head is None else head.prefilled_tokens
    return times.predict(StepKind.TEXT, group.model, group.shape(prefill_tokens, past_tokens))


def prefill_s(group: TextGroup, times: StepTimes, sequence: Sequence) -> float:
    """Predicted seconds of what is left of a prompt in full chunks, beside all decodes."""
    chunk_tokens = min(sequence.prompt_left, group.limits.max_chunk_tokens)
    shape = group.shape(chunk_tokens, sequence.prefilled_tokens)
    chunk_s = times.predict(StepKind.TEXT, group.model, shape)
    return chunk_s * sequence.prompt_left / chunk_tokens


def largest_chunk(group: TextGroup, times: StepTimes, max_tokens: int, budget_s: float) -> int:
    """Most prefill tokens, up to `max_tokens`, whose iteration takes at most `budget_s`; or 0.

    Halves until it fits, then interpolates between the last two sizes: exact where time is affine
    in tokens. O(log(max_tokens)) predictions, one when everything fits.
    """
    high, high_s = max_tokens, text_seconds(group, times, max_tokens)
    if high_s <= budget_s:
        return high
    while high > MIN_CHUNK_TOKENS:
        low = max(high // 2, MIN_CHUNK_TOKENS)
        low_s = text_seconds(group, times, low)
        if low_s <= budget_s:
            share = (budget_s - low_s) / (high_s - low_s)
            between = low + int(share * (high - low))
            return between if text_seconds(group, times, between) <= budget_s else low
        high, high_s = low, low_s
    return 0
