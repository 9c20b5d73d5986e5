"""When things happened to one request, from its updates; all in the loop's seconds.

TTFT, TPOT and "met its SLO" are the formulas of `loadsheet.metrics`, counted from the arrival here.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from loadsheet.metrics import ImageTiming, TextTiming
from loadsheet.runtime.update import Encoded, Failed, Image, Rejected, Started, Token, Update
from loadsheet.workload.request import EncodeRequest, ImageRequest, Request


class Outcome(StrEnum):
    """Why a request ended, with vLLM's names where it has one."""

    STOP = "stop"
    LENGTH = "length"
    DRAWN = "drawn"
    ENCODED = "encoded"
    ABORT = "abort"  # the client left or read too slowly
    ERROR = "error"
    REJECTED = "rejected"


_FINISHED = (Outcome.STOP, Outcome.LENGTH, Outcome.DRAWN, Outcome.ENCODED)


@dataclass(slots=True)
class Timeline:
    request: Request
    started_s: float | None = None
    token_times_s: list[float] = field(default_factory=list)
    ended_s: float | None = None
    outcome: Outcome | None = None

    def note(self, update: Update) -> None:
        match update:
            case Started(at_s=at_s):
                self.started_s = at_s
            case Token(at_s=at_s, finish_reason=finish_reason):
                self.token_times_s.append(at_s)
                if finish_reason is not None:
                    self.end(Outcome(finish_reason), at_s)
            case Image(at_s=at_s):
                self.end(Outcome.DRAWN, at_s)
            case Encoded(at_s=at_s):
                self.end(Outcome.ENCODED, at_s)
            case Failed(at_s=at_s):
                self.end(Outcome.ERROR, at_s)
            case Rejected(at_s=at_s):
                self.end(Outcome.REJECTED, at_s)
            case _:
                pass  # Accepted and Progress change no time that is reported

    def end(self, outcome: Outcome, at_s: float) -> None:
        self.outcome, self.ended_s = outcome, at_s

    @property
    def queue_s(self) -> float | None:
        return None if self.started_s is None else self.started_s - self.request.arrival_s

    @property
    def ttft_s(self) -> float | None:
        timing = self._text_timing()
        return None if timing is None else timing.ttft_s

    @property
    def tpot_s(self) -> float | None:
        """None below two tokens: there is no gap to average."""
        timing = self._text_timing()
        return None if timing is None else timing.tpot_s

    @property
    def prefill_s(self) -> float | None:
        """First step to first token."""
        if self.started_s is None or not self.token_times_s:
            return None
        return self.token_times_s[0] - self.started_s

    @property
    def decode_s(self) -> float | None:
        """First token to last token."""
        return self.token_times_s[-1] - self.token_times_s[0] if self.token_times_s else None

    @property
    def e2e_s(self) -> float | None:
        return None if self.ended_s is None else self.ended_s - self.request.arrival_s

    @property
    def is_slo_met(self) -> bool:
        """Whether the request ended well and within every promise made to it."""
        if self.ended_s is None or self.outcome not in _FINISHED:
            return False
        if isinstance(self.request, EncodeRequest):
            return self.ended_s - self.request.arrival_s <= self.request.slo.deadline_s
        if isinstance(self.request, ImageRequest):
            timing = ImageTiming(start_s=self.request.arrival_s, end_s=self.ended_s)
            return timing.meets(self.request.slo)
        text_timing = self._text_timing()
        return text_timing is not None and text_timing.meets(self.request.slo)

    def _text_timing(self) -> TextTiming | None:
        if not self.token_times_s:
            return None
        return TextTiming(
            start_s=self.request.arrival_s,
            token_s=tuple(self.token_times_s),
            num_tokens=len(self.token_times_s),
        )
