"""Seconds of a mixed iteration, quickly: affine in the context at a few batch sizes.

Decode time is affine in the sum of contexts at a fixed batch, so two prices per batch size give
all of them; batch sizes between those priced are interpolated. A prefill chunk rides along and
shares the pass over the weights.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

from loadsheet.cost.serving.offline_text import decode_seconds
from loadsheet.cost.serving.software import TextEngine
from loadsheet.cost.serving.text_step import TextModel, prefill_shape, step_seconds

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_CHUNKS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384)
_SHORT = 512
_PREFIX = 4096


@dataclass(slots=True)
class IterationCost:
    """`long_context` is the longest that the run will see, `prompt_tokens` the mean prompt: a chunk
    of more holds several prompts."""

    model: TextModel
    engine: TextEngine
    long_context: int
    prompt_tokens: int = _PREFIX
    _decode: dict[int, tuple[float, float]] = field(default_factory=dict)
    _chunk: dict[int, tuple[float, float]] = field(default_factory=dict)

    def decode_s(self, batch: int, context: float) -> float:
        """One token of each of `batch` sequences of mean length `context`; with the host."""
        low, high, weight = _between(_BATCHES, batch)
        first = self._decode_at(low, context)
        return first + weight * (self._decode_at(high, context) - first)

    def chunk_s(self, tokens: int, cached: int) -> float:
        """`tokens` of prompts after `cached` ones, without the host."""
        low, high, weight = _between(_CHUNKS, tokens)
        first = self._chunk_at(low, cached)
        return first + weight * (self._chunk_at(high, cached) - first)

    def mixed_s(self, batch: int, context: float, tokens: int, cached: int) -> float:
        host_s = self.engine.iteration_us * 1e-6
        if not tokens:
            return self.decode_s(batch, context) if batch else host_s
        prompt_s = self.chunk_s(tokens, cached) + host_s
        if not batch:
            return prompt_s
        weights_s = min(self.decode_s(1, 1), self.chunk_s(_CHUNKS[0], 0)) + host_s
        return prompt_s + max(self.decode_s(batch, context) - weights_s, 0.0)

    def _decode_at(self, batch: int, context: float) -> float:
        if batch not in self._decode:
            far = max(self.long_context, 2 * _SHORT)
            near_s = decode_seconds(self.model, self.engine, batch, _SHORT)
            far_s = decode_seconds(self.model, self.engine, batch, far)
            slope = max((far_s - near_s) / (far - _SHORT), 0.0)
            self._decode[batch] = (near_s - slope * _SHORT, slope)
        base, slope = self._decode[batch]
        return base + slope * context

    def _chunk_at(self, tokens: int, cached: int) -> float:
        if tokens not in self._chunk:
            prompts = max(1, round(tokens / self.prompt_tokens))
            each = max(1, tokens // prompts)
            prefix = self._prefix(each)
            alone, after = prefill_shape(each, prompts), prefill_shape(each, prompts, prefix)
            alone_s = step_seconds(self.model, alone, self.engine)
            after_s = step_seconds(self.model, after, self.engine)
            self._chunk[tokens] = (alone_s, max((after_s - alone_s) / max(prefix, 1), 0.0))
        base, slope = self._chunk[tokens]
        return base + slope * cached

    def _prefix(self, tokens: int) -> int:
        """A cached prefix to price the slope with; learned positions may forbid a long one."""
        positions = self.model.spec.num_positions
        return min(_PREFIX, max(positions - tokens, 0)) if positions else _PREFIX


def _between(grid: tuple[int, ...], value: int) -> tuple[int, int, float]:
    """Neighbours on the grid and how far between them; outside, the nearest."""
    place = bisect_left(grid, value)
    if place == 0:
        return grid[0], grid[0], 0.0
    if place == len(grid):
        low, high = grid[-2], grid[-1]
    else:
        low, high = grid[place - 1], grid[place]
    return low, high, (value - low) / (high - low)
