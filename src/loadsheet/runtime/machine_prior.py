"""The cost model's step times of the served models, boiled down to an `AffinePrior`."""

from loadsheet.cost.pipelined_text import PipelinedTextCost
from loadsheet.cost.step_cost import ImageStepCost, TextStepCost
from loadsheet.sched.affine_prior import ImagePrior, TextPrior
from loadsheet.sched.plan import ImageShape, StepKind, TextShape

_BATCH = 8
_CHUNK = 256
_CONTEXT = 512
_IMAGES = 4
_KINDS = (StepKind.ENCODE, StepKind.DENOISE, StepKind.VAE_DECODE)


def text_prior(cost: TextStepCost | PipelinedTextCost) -> TextPrior:
    """Lines through an empty step, a batch, a chunk and a context of usual sizes."""
    one, batch = (_text(cost, decodes=size) for size in (1, _BATCH))
    long = _text(cost, decodes=_BATCH, cached=_BATCH * _CONTEXT)
    decode_s = max((batch - one) / (_BATCH - 1), 0.0)
    iteration_s = max(one - decode_s, 0.0)
    return TextPrior(
        iteration_s=iteration_s,
        decode_s=decode_s,
        prefill_s=max((_text(cost, prefill=_CHUNK) - iteration_s) / _CHUNK, 0.0),
        context_s=max((long - batch) / (_BATCH * _CONTEXT), 0.0),
    )


def image_prior(cost: ImageStepCost, width: int, height: int) -> ImagePrior:
    """Lines through one image and four."""
    plain = {kind: _line(cost, kind, (width, height), is_guided=False) for kind in _KINDS}
    guided = {kind: _line(cost, kind, (width, height), is_guided=True) for kind in _KINDS}
    return ImagePrior(
        pixels=width * height,
        step_s={str(kind): line[0] for kind, line in plain.items()},
        image_s={str(kind): line[1] for kind, line in plain.items()},
        guided_step_s={str(kind): line[0] for kind, line in guided.items()},
        guided_image_s={str(kind): line[1] for kind, line in guided.items()},
    )


def _text(
    cost: TextStepCost | PipelinedTextCost, *, decodes: int = 0, cached: int = 0, prefill: int = 0
) -> float:
    shape = TextShape(
        num_decodes=decodes,
        decode_context_tokens=cached,
        prefill_tokens=prefill,
        prefill_context_tokens=0,
    )
    return cost.seconds(StepKind.TEXT, shape)


def _line(
    cost: ImageStepCost, kind: StepKind, size: tuple[int, int], *, is_guided: bool
) -> tuple[float, float]:
    """Seconds of a step of no images, and of each."""
    one, more = (
        cost.seconds(
            kind, ImageShape(batch=batch, width=size[0], height=size[1], is_guided=is_guided)
        )
        for batch in (1, _IMAGES)
    )
    each_s = (more - one) / (_IMAGES - 1)
    return one - each_s, each_s
