"""Step times before any step ran, as a few numbers per model that an event log can carry.

A replay must start from the same prior as the run did, wherever it happens; so the cost model's
answers are boiled down to straight lines instead of being asked again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadsheet.sched.plan import ImageShape, StepKind, StepShape, TextShape
from loadsheet.sched.step_times import small_cpu_prior


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPrior:
    """Seconds of an iteration, and more per decoding sequence, prompt token and cached token."""

    iteration_s: float
    decode_s: float
    prefill_s: float
    context_s: float

    def seconds(self, shape: TextShape) -> float:
        cached = shape.decode_context_tokens + shape.prefill_context_tokens
        return (
            self.iteration_s
            + self.decode_s * shape.num_decodes
            + self.prefill_s * shape.prefill_tokens
            + self.context_s * cached
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePrior:
    """Seconds of each kind of step, and more per image of `pixels`; guided ones apart."""

    pixels: int
    step_s: Mapping[str, float]
    image_s: Mapping[str, float]
    guided_step_s: Mapping[str, float]
    guided_image_s: Mapping[str, float]

    def seconds(self, kind: StepKind, shape: ImageShape) -> float:
        images = shape.batch * shape.width * shape.height / self.pixels
        if shape.is_guided:
            return self.guided_step_s[kind] + images * self.guided_image_s[kind]
        return self.step_s[kind] + images * self.image_s[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinePrior:
    """By model name; models that it does not know start from the plainest guess."""

    text: Mapping[str, TextPrior] = field(default_factory=dict)
    images: Mapping[str, ImagePrior] = field(default_factory=dict)

    def __call__(self, kind: StepKind, model: str, shape: StepShape) -> float:
        if isinstance(shape, TextShape) and model in self.text:
            return self.text[model].seconds(shape)
        if isinstance(shape, ImageShape) and model in self.images:
            return self.images[model].seconds(kind, shape)
        return small_cpu_prior(kind, model, shape)
