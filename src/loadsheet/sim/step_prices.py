"""What a simulated device charges for a step."""

from typing import Protocol

from loadsheet.cost.serving.decode_curve import DecodeSegment
from loadsheet.sched.plan import StepKind, StepShape


class StepPrices(Protocol):
    """Seconds of every step of one device; the same answer for the same shape."""

    def seconds(self, kind: StepKind, model: str, shape: StepShape) -> float: ...

    def decode_segment(self, model: str, num_decodes: int, context_tokens: int) -> DecodeSegment:
        """`seconds` of a text step without prefill, affine in the context sum from here on."""
        ...
