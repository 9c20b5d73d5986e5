"""Seconds of a mixed iteration, quickly: a decode curve, and prompts priced at a few lengths.

A prefill chunk rides along with the decodes and shares their pass over the weights.
"""

from dataclasses import dataclass, field

from loadsheet.cost.serving.decode_curve import DecodeCurve, between
from loadsheet.cost.serving.offline_text import decode_seconds
from loadsheet.cost.serving.software import TextEngine
from loadsheet.cost.serving.text_step import TextModel, prefill_shape, step_seconds

_CHUNKS = (1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384)
_PREFIX = 4096
_SHORT = 512


@dataclass(slots=True)
class IterationCost:
    """`contexts` are the lengths that decode is priced at, two or more; `prompt_tokens` the mean
    prompt: a chunk of more holds several prompts."""

    model: TextModel
    engine: TextEngine
    contexts: tuple[int, ...]
    prompt_tokens: int = _PREFIX
    decode: DecodeCurve = field(init=False)
    _chunk: dict[int, tuple[float, float]] = field(default_factory=dict)
    _weights_s: float | None = None

    def __post_init__(self) -> None:
        self.decode = DecodeCurve(price=self._price_decode, contexts=self.contexts)

    def decode_s(self, batch: int, context: float) -> float:
        """One token of each of `batch` sequences of mean length `context`; with the host."""
        return self.decode.seconds(batch, batch * (context - 1.0))

    def chunk_s(self, tokens: int, cached: float) -> float:
        """`tokens` of prompts after `cached` ones, without the host."""
        low, high, weight = between(_CHUNKS, tokens)
        first = self._chunk_at(low, cached)
        return first + weight * (self._chunk_at(high, cached) - first)

    def mixed_s(self, batch: int, context: float, tokens: int, cached: float) -> float:
        host_s = self.engine.iteration_us * 1e-6
        if not tokens:
            return self.decode_s(batch, context) if batch else host_s
        prompt_s = self.chunk_s(tokens, cached) + host_s
        if not batch:
            return prompt_s
        return prompt_s + max(self.decode_s(batch, context) - self._weights(), 0.0)

    def _weights(self) -> float:
        """One pass over the weights, and the host: what prompts and decodes share."""
        if self._weights_s is None:
            host_s = self.engine.iteration_us * 1e-6
            self._weights_s = min(self.decode_s(1, 1), self.chunk_s(1, 0) + host_s)
        return self._weights_s

    def _price_decode(self, batch: int, context: int) -> float:
        return decode_seconds(self.model, self.engine, batch, context)

    def _chunk_at(self, tokens: int, cached: float) -> float:
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


def spanning(longest: int) -> tuple[int, int]:
    """Two contexts for a run that sees none beyond `longest`."""
    return _SHORT, max(longest, 2 * _SHORT)
