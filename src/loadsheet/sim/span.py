"""Steps as they ran, for a Gantt chart or a trace viewer."""

from dataclasses import dataclass

from loadsheet.sched.plan import StepKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """`num_steps` equal steps in a row on one lane. `batch` counts sequences or images of each,
    `prefill_tokens` those of the prompts in it; `images` are the requests of an image step."""

    start_s: float
    end_s: float
    kind: StepKind
    model: str
    lane: int
    num_steps: int
    batch: int
    prefill_tokens: int = 0
    images: tuple[str, ...] = ()


@dataclass(slots=True)
class SpanRecorder:
    """Keeps what overlaps [start_s, end_s)."""

    start_s: float
    end_s: float
    spans: list[Span]

    def add(self, span: Span) -> None:
        if span.end_s > self.start_s and span.start_s < self.end_s:
            self.spans.append(span)
