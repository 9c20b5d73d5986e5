"""What a request must satisfy before it may queue, and what it is told when it does not."""

from difflib import get_close_matches

from loadsheet.sched.event import Rejection, RejectReason
from loadsheet.sched.limits import DeviceLimits, EncoderLimits, ImageLimits, TextLimits
from loadsheet.sched.sequence import worst_blocks
from loadsheet.units import format_bytes
from loadsheet.workload.request import EncodeRequest, ImageRequest, Request, TextRequest


def refuse_forever(request: Request, limits: DeviceLimits) -> Rejection | None:
    """A rejection when the request can never run with these limits, however long it waits."""
    if isinstance(request, TextRequest):
        text = {one.model: one for one in limits.text}.get(request.model)
        return _refuse_model(request, limits) if text is None else _refuse_text(request, text)
    if isinstance(request, EncodeRequest):
        found = {one.model: one for one in limits.encoders}.get(request.model)
        return _refuse_model(request, limits) if found is None else _refuse_encode(request, found)
    image = {one.model: one for one in limits.images}.get(request.model)
    return _refuse_model(request, limits) if image is None else _refuse_image(request, image)


def _refuse_model(request: Request, limits: DeviceLimits) -> Rejection:
    served = [one.model for one in _limits_of(request, limits)]
    near = get_close_matches(request.model, served, n=3, cutoff=0.0)
    names = ", ".join(near) if near else "none"
    message = f"no {request.kind} model {request.model!r} is served; the nearest names: {names}"
    return _reject(request, RejectReason.UNKNOWN_MODEL, message)


def _refuse_text(request: TextRequest, limits: TextLimits) -> Rejection | None:
    prompt, output = request.prompt_tokens, request.max_output_tokens
    if prompt < 1 or output < 1:
        message = f"{prompt} prompt tokens and {output} output tokens; give at least 1 of each"
        return _reject(request, RejectReason.INVALID, message)
    asked = f"{prompt} prompt + {output} output tokens"
    if prompt + output > limits.max_context_tokens:
        message = (
            f"{asked} = {prompt + output}, the context of {limits.model} is "
            f"{limits.max_context_tokens}; shorten the prompt or ask for fewer tokens"
        )
        return _reject(request, RejectReason.TOO_LARGE, message)
    num_blocks = worst_blocks(request, limits)
    if num_blocks > limits.num_blocks:
        message = (
            f"{asked} need {num_blocks} cache blocks of {limits.block_tokens} tokens, "
            f"{limits.model} has {limits.num_blocks}; shorten the prompt, ask for fewer tokens "
            "or give the server more cache"
        )
        return _reject(request, RejectReason.TOO_LARGE, message)
    return None


def _refuse_image(request: ImageRequest, limits: ImageLimits) -> Rejection | None:
    if request.num_steps < 1:
        return _reject(request, RejectReason.INVALID, f"{request.num_steps} steps; give at least 1")
    if request.num_steps > limits.max_steps:
        message = (
            f"{request.num_steps} steps, the limit of {limits.model} is {limits.max_steps}; "
            "ask for fewer steps"
        )
        return _reject(request, RejectReason.TOO_LARGE, message)
    state_bytes = limits.state_bytes(request.width, request.height)
    if state_bytes is None:
        offered = ", ".join(f"{size.width}x{size.height}" for size in limits.sizes)
        message = (
            f"{request.width}x{request.height} pixels, {limits.model} offers {offered}; "
            "choose one of these"
        )
        return _reject(request, RejectReason.TOO_LARGE, message)
    if state_bytes > limits.budget_bytes:
        message = (
            f"{request.width}x{request.height} pixels need {format_bytes(state_bytes)} of latents, "
            f"{limits.model} has {format_bytes(limits.budget_bytes)}; choose a smaller size"
        )
        return _reject(request, RejectReason.TOO_LARGE, message)
    return None


def _refuse_encode(request: EncodeRequest, limits: EncoderLimits) -> Rejection | None:
    if request.num_tokens < 1:
        return _reject(request, RejectReason.INVALID, "a text of no tokens; give at least 1")
    if request.num_tokens > limits.max_tokens:
        message = (
            f"{request.num_tokens} tokens, {limits.model} reads {limits.max_tokens}; "
            "shorten the text"
        )
        return _reject(request, RejectReason.TOO_LARGE, message)
    return None


def _limits_of(
    request: Request, limits: DeviceLimits
) -> tuple[TextLimits | ImageLimits | EncoderLimits, ...]:
    """Of the models that could serve this kind of request."""
    if isinstance(request, TextRequest):
        return limits.text
    return limits.encoders if isinstance(request, EncodeRequest) else limits.images


def refuse_duplicate(request: Request) -> Rejection:
    message = f"request id {request.request_id!r} is in use; choose another"
    return _reject(request, RejectReason.INVALID, message)


def refuse_draining(request: Request) -> Rejection:
    message = "the server is finishing its last requests; send this to another one"
    return _reject(request, RejectReason.DRAINING, message)


def refuse_full(request: Request, num_waiting: int, retry_after_s: float) -> Rejection:
    message = (
        f"{num_waiting} requests wait for {request.model}, as many as may; "
        f"try again in {retry_after_s:.1f} s"
    )
    return Rejection(
        request_id=request.request_id,
        reason=RejectReason.QUEUE_FULL,
        message=message,
        retry_after_s=retry_after_s,
    )


def _reject(request: Request, reason: RejectReason, message: str) -> Rejection:
    return Rejection(request_id=request.request_id, reason=reason, message=message)
