"""What the text engine keeps of a request between steps."""

from collections.abc import Collection
from dataclasses import dataclass, field

from loadsheet.engine.text.detokenizer import Detokenizer
from loadsheet.engine.text.sampling import Sampler
from loadsheet.engine.text.stops import StopMatcher
from loadsheet.runtime.executor import FinishReason, TextOutput


@dataclass(slots=True, kw_only=True)
class Sequence:
    """`num_cached` tokens have their keys and values in the blocks of `block_ids`.

    `token_ids` is the prompt, then what was drawn; the last one drawn is never in the cache yet.
    """

    request_id: str
    token_ids: list[int]
    num_prompt: int
    max_output_tokens: int
    eos_ids: Collection[int]  # empty where the request ignores them
    sampler: Sampler
    detokenizer: Detokenizer
    stops: StopMatcher
    block_ids: list[int] = field(default_factory=list)
    num_cached: int = 0
    is_ended: bool = False

    def take(self, token_id: int) -> TextOutput:
        """Add a drawn token; the output says what text it completes and whether it is the last."""
        self.token_ids.append(token_id)
        if token_id in self.eos_ids:
            return self._output(token_id, self.stops.flush(), FinishReason.STOP)
        released = self.stops.feed(self.detokenizer.feed(token_id))
        if released.is_stopped:
            return self._output(token_id, released.text, FinishReason.STOP)
        if len(self.token_ids) - self.num_prompt >= self.max_output_tokens:
            text = released.text + self.stops.flush()
            return self._output(token_id, text, FinishReason.LENGTH)
        return self._output(token_id, released.text, None)

    def _output(self, token_id: int, text: str, reason: FinishReason | None) -> TextOutput:
        self.is_ended = reason is not None
        return TextOutput(
            request_id=self.request_id, token_id=token_id, text=text, finish_reason=reason
        )
