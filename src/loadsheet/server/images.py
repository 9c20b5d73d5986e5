"""`/v1/images/generations`: the body it takes, the call it becomes, the reply it gives.

Field names of the diffusion extensions are those of vLLM-Omni and SGLang: num_inference_steps,
guidance_scale, negative_prompt, seed.
"""

import re
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import ConfigDict, Field

from loadsheet.runtime.model_card import ImageModelCard
from loadsheet.runtime.payload import ImagePayload
from loadsheet.server import unsupported
from loadsheet.server.body import Body, Text, parse
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.errors import invalid
from loadsheet.server.errors import unsupported as unsupported_error
from loadsheet.server.job import Task
from loadsheet.server.text_body import MAX_SEED, CallContext
from loadsheet.workload.request import ImageRequest
from loadsheet.workload.slo import ImageSLO

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


class ImageSLOBody(Body):
    """An extension: when the image is due, instead of the model's default."""

    model_config = ConfigDict(extra="forbid")

    deadline_s: Annotated[float, Field(gt=0)]


class ImageBody(Body):
    prompt: Annotated[Text, Field(min_length=1)]
    model: Text | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Text | None = None
    num_inference_steps: int | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=30)] | None = None
    negative_prompt: Text | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    response_format: Text | None = None
    stream: bool | None = None
    slo: ImageSLOBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCall:
    """A validated request: one task per image; the seeds count up from the first."""

    created: int
    model: str
    size: str
    seeds: tuple[int, ...]
    tasks: tuple[Task, ...]
    is_streamed: bool
    ignored: tuple[str, ...]


def read_image(
    body: bytes, catalog: ModelCatalog, context: CallContext, fresh_seed: int
) -> ImageCall:
    """The call that a body asks for; raises ApiError. `fresh_seed` serves requests without one."""
    asked = parse(ImageBody, body)
    ignored = unsupported.sift(asked.extras(), unsupported.IMAGES)
    if asked.response_format not in (None, "b64_json"):
        raise unsupported_error(
            "only response_format 'b64_json' is supported; images are not stored for download",
            "response_format",
        )
    card = catalog.image(asked.model)
    payload = _first_payload(asked, card, fresh_seed)
    seeds = tuple((payload.seed + index) % (MAX_SEED + 1) for index in range(asked.n or 1))
    if payload.negative_prompt and payload.guidance_scale <= 1:
        ignored += ("negative_prompt",)  # without guidance nothing looks at it
    return ImageCall(
        created=context.created,
        model=card.name,
        size=f"{payload.width}x{payload.height}",
        seeds=seeds,
        tasks=tuple(
            Task(
                request=_request(f"{context.call_id}-{index}", asked, card, payload, context),
                payload=replace(payload, seed=seed),
            )
            for index, seed in enumerate(seeds)
        ),
        is_streamed=bool(asked.stream),
        ignored=ignored,
    )


def _first_payload(asked: ImageBody, card: ImageModelCard, fresh_seed: int) -> ImagePayload:
    width, height = _size(asked.size, card)
    guidance_scale = asked.guidance_scale
    return ImagePayload(
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt or "",
        width=width,
        height=height,
        num_steps=_num_steps(asked.num_inference_steps, card),
        guidance_scale=card.default_guidance_scale if guidance_scale is None else guidance_scale,
        seed=fresh_seed if asked.seed is None else asked.seed,
    )


def _request(
    request_id: str,
    asked: ImageBody,
    card: ImageModelCard,
    payload: ImagePayload,
    context: CallContext,
) -> ImageRequest:
    """Guidance of 1 or less means no second branch: the formula then drops it."""
    slo = card.slo if asked.slo is None else ImageSLO(deadline_s=asked.slo.deadline_s)
    return ImageRequest(
        request_id=request_id,
        model=card.base,
        arrival_s=context.arrival_s,
        width=payload.width,
        height=payload.height,
        num_steps=payload.num_steps,
        is_guided=payload.guidance_scale > 1,
        adapter=None if card.adapter is None else card.adapter.name,
        slo=slo,
    )


def _size(size: str | None, card: ImageModelCard) -> tuple[int, int]:
    if size is None or size == "auto":
        return card.sizes[0]
    match = _SIZE.fullmatch(size)
    asked = (int(match[1]), int(match[2])) if match else None
    if asked not in card.sizes:
        served = ", ".join(f"{width}x{height}" for width, height in card.sizes)
        raise invalid(f"size {size[:20]!r} is not served; {card.name} draws {served}", "size")
    return asked


def _num_steps(num_steps: int | None, card: ImageModelCard) -> int:
    if num_steps is None:
        return card.default_num_steps
    if not 1 <= num_steps <= card.max_num_steps:
        raise invalid(
            f"num_inference_steps is {num_steps}; give 1 to {card.max_num_steps}",
            "num_inference_steps",
        )
    return num_steps
