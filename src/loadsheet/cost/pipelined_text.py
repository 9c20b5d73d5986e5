"""A decoder cut into stages: `pp` micro-batches follow each other through the stages.

    stage 0  | a | b | a | b |        every sequence gets a token per round, and a round of pp
    stage 1      | a | b | a | b |    micro-batches takes what one of them takes through all stages

So an iteration of n sequences is priced as the whole model at ceil(n / pp) of them, with their
share of the context, plus handing the hidden states on `pp` times. Without decodes the pipe has to
fill: a lone prompt pays for the (pp - 1) / pp of its time in which stages idle (GPipe, 2019).
"""

from dataclasses import dataclass

from loadsheet.cost.serving.decode_curve import DecodeSegment
from loadsheet.cost.step_cost import TextStepCost
from loadsheet.cost.step_shape import StepKind, StepShape, TextShape
from loadsheet.errors import ConfigError
from loadsheet.hardware.device import Device

_HOP_S = 5e-6  # latency of one send between devices
_BYTES = 2  # of a hidden value


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinedTextCost:
    """`whole` prices the model on one stage's devices; `hidden_size` values per token are sent."""

    whole: TextStepCost
    device: Device
    hidden_size: int
    pp: int

    def seconds(self, kind: StepKind, shape: StepShape) -> float:
        if not isinstance(shape, TextShape):
            raise ConfigError(f"a language model runs no {kind} step")
        if shape.prefill_tokens == 0 and shape.num_decodes:
            tau0_s, kappa_s, _ = self.decode_segment(shape.num_decodes, shape.decode_context_tokens)
            return tau0_s + kappa_s * shape.decode_context_tokens
        dealt = TextShape(
            num_decodes=-(-shape.num_decodes // self.pp),
            decode_context_tokens=round(shape.decode_context_tokens / self.pp),
            prefill_tokens=-(-shape.prefill_tokens // self.pp),
            prefill_context_tokens=shape.prefill_context_tokens,
        )
        seconds = self.whole.seconds(kind, dealt)
        if not shape.num_decodes:
            seconds *= 2 - 1 / self.pp
        return seconds + self._hops_s(dealt.num_decodes + dealt.prefill_tokens)

    def decode_segment(self, batch: int, context_tokens: float = 0) -> DecodeSegment:
        """As `TextStepCost.decode_segment`, of the sequences of all micro-batches."""
        dealt = -(-batch // self.pp)
        share = dealt / batch
        tau0_s, kappa_s, valid_until = self.whole.decode_segment(dealt, context_tokens * share)
        return DecodeSegment(tau0_s + self._hops_s(dealt), kappa_s * share, valid_until / share)

    def _hops_s(self, tokens: int) -> float:
        rate = self.device.link_bytes_per_s / 2 or self.device.host_bytes_per_s
        return self.pp * (_HOP_S + tokens * self.hidden_size * _BYTES / rate)
