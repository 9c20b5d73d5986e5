"""Updates of a text job as one JSON object or as a stream of chunks.

What makes the client's TTFT right: the role chunk leaves together with the first token, every token
is one chunk (also one whose text is still empty), the last token carries the finish reason, the
usage chunk has no choices, and `[DONE]` ends the stream.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from loadsheet.runtime.update import Token
from loadsheet.server.job import Job
from loadsheet.server.sse import DONE, data_event
from loadsheet.server.text_body import TextCall, UsageMode
from loadsheet.server.timeline import Timeline


class TextFormat(Protocol):
    """What differs between chat and completions."""

    @property
    def whole_object(self) -> str: ...

    @property
    def chunk_object(self) -> str: ...

    def opening(self, index: int) -> dict[str, object] | None: ...

    def piece(self, index: int, token: Token) -> dict[str, object]: ...

    def whole(self, index: int, text: str, finish_reason: str) -> dict[str, object]: ...


async def whole_text(call: TextCall, job: Job, text_format: TextFormat) -> dict[str, object]:
    """The reply once everything is written; raises ApiError when the device fails."""
    texts = ["" for _ in call.tasks]
    reasons = ["" for _ in call.tasks]
    num_tokens = 0
    async for index, update in job.updates():
        if isinstance(update, Token):
            num_tokens += 1
            texts[index] += update.text
            reasons[index] = update.finish_reason or ""
    choices = [
        text_format.whole(index, text, reason)
        for index, (text, reason) in enumerate(zip(texts, reasons, strict=True))
    ]
    return {
        **_head(call, text_format.whole_object),
        "choices": choices,
        "usage": _usage(call, num_tokens),
        "metrics": _metrics(job),
    }


async def streamed_text(call: TextCall, job: Job, text_format: TextFormat) -> AsyncIterator[bytes]:
    head = _head(call, text_format.chunk_object)
    opened: set[int] = set()
    num_tokens = 0
    async for index, update in job.updates():
        if not isinstance(update, Token):
            continue
        opening = None if index in opened else text_format.opening(index)
        opened.add(index)
        event = b""
        if opening is not None:
            event = data_event({**head, "choices": [opening], **_chunk_usage(call, num_tokens)})
        num_tokens += 1
        piece = text_format.piece(index, update)
        yield event + data_event({**head, "choices": [piece], **_chunk_usage(call, num_tokens)})
    if call.usage_mode is not UsageMode.NEVER:
        usage = {"usage": _usage(call, num_tokens), "metrics": _metrics(job)}
        yield data_event({**head, "choices": [], **usage})
    yield DONE


def _head(call: TextCall, object_name: str) -> dict[str, object]:
    return {
        "id": call.call_id,
        "object": object_name,
        "created": call.created,
        "model": call.model,
        "system_fingerprint": None,
    }


def _chunk_usage(call: TextCall, num_tokens: int) -> dict[str, object]:
    """OpenAI sends `null` on chunks of a stream that ends with usage."""
    if call.usage_mode is UsageMode.NEVER:
        return {}
    return {"usage": _usage(call, num_tokens) if call.usage_mode is UsageMode.EACH else None}


def _usage(call: TextCall, completion_tokens: int) -> dict[str, object]:
    return {
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": call.prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _metrics(job: Job) -> dict[str, object]:
    """The server's side of the story, for the first reply that got a token."""
    first = min(job.timelines, key=_first_token_s)
    return {
        "queue_time_ms": _milliseconds(first.queue_s),
        "time_to_first_token_ms": _milliseconds(first.ttft_s),
    }


def _first_token_s(timeline: Timeline) -> float:
    return timeline.ttft_s if timeline.ttft_s is not None else float("inf")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
