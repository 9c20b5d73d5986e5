"""A device on which everything takes longer, or less."""

from dataclasses import dataclass

from loadsheet.cost.serving.decode_curve import DecodeSegment
from loadsheet.sched.plan import StepKind, StepShape
from loadsheet.sim.step_prices import StepPrices


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowPrices:
    """`slowdown` times `prices`."""

    prices: StepPrices
    slowdown: float

    def seconds(self, kind: StepKind, model: str, shape: StepShape) -> float:
        return self.slowdown * self.prices.seconds(kind, model, shape)

    def decode_segment(self, model: str, num_decodes: int, context_tokens: int) -> DecodeSegment:
        tau0_s, kappa_s, end = self.prices.decode_segment(model, num_decodes, context_tokens)
        return DecodeSegment(self.slowdown * tau0_s, self.slowdown * kappa_s, end)
