"""What the client saw of one request: stamps in integer nanoseconds since the run began.

Records are the raw data of a run; every number in a report is computed from them.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from loadsheet.errors import ConfigError
from loadsheet.metrics import ImageTiming, TextTiming
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape, Shape, TextShape

_NS = 1e-9


class Outcome(StrEnum):
    OK = "ok"
    REFUSED = "refused"  # 429 or 503: the server said no in time
    ERROR = "error"
    TIMEOUT = "timeout"
    CUT = "cut"  # still running when the run ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. `chunk_ns`: content chunks of a text, previews of an image."""

    outcome: Outcome
    chunk_ns: tuple[int, ...] = ()
    http_status: int | None = None
    error: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    num_images: int = 0
    image_bytes: int = 0
    server_queue_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """`due_ns` is when the request should have left, `sent_ns` when it did."""

    phase: str
    traffic: str
    index: int
    shape: Shape
    due_ns: int
    sent_ns: int
    ended_ns: int
    reply: Reply

    @property
    def kind(self) -> RequestKind:
        return self.shape.kind

    @property
    def is_ok(self) -> bool:
        return self.reply.outcome is Outcome.OK

    @property
    def num_tokens(self) -> int:
        """Output tokens by the server's count, else one per content chunk."""
        counted = self.reply.output_tokens
        return len(self.reply.chunk_ns) if counted is None else counted

    @property
    def due_s(self) -> float:
        return self.due_ns * _NS

    @property
    def ended_s(self) -> float:
        return self.ended_ns * _NS

    @property
    def client_wait_s(self) -> float:
        return (self.sent_ns - self.due_ns) * _NS

    def text_timing(self) -> TextTiming:
        return TextTiming(
            start_s=self.due_s,
            token_s=tuple(stamp * _NS for stamp in self.reply.chunk_ns),
            num_tokens=self.num_tokens,
        )

    def image_timing(self) -> ImageTiming:
        return ImageTiming(
            start_s=self.due_s,
            end_s=self.ended_s,
            preview_s=tuple(stamp * _NS for stamp in self.reply.chunk_ns),
        )


def record_line(record: RequestRecord) -> str:
    """One JSON line; `read_record_line` reads it back."""
    shape, reply = record.shape, record.reply
    document: dict[str, object] = {
        "phase": record.phase,
        "traffic": record.traffic,
        "index": record.index,
        "kind": record.kind.value,
        "due_ns": record.due_ns,
        "sent_ns": record.sent_ns,
        "ended_ns": record.ended_ns,
        "outcome": reply.outcome.value,
        "http_status": reply.http_status,
        "error": reply.error,
        "server_queue_s": reply.server_queue_s,
    }
    if isinstance(shape, TextShape):
        document |= {
            "asked_prompt_tokens": shape.prompt_tokens,
            "asked_output_tokens": shape.output_tokens,
            "prompt_tokens": reply.prompt_tokens,
            "output_tokens": reply.output_tokens,
            "finish_reason": reply.finish_reason,
        }
    else:
        document |= {
            "width": shape.width,
            "height": shape.height,
            "num_steps": shape.num_steps,
            "guidance_scale": shape.guidance_scale,
            "asked_images": shape.num_images,
            "num_images": reply.num_images,
            "image_bytes": reply.image_bytes,
        }
    document["chunk_ns"] = reply.chunk_ns
    return json.dumps(document, separators=(",", ":"))


def read_record_line(line: str) -> RequestRecord:
    try:
        document = json.loads(line)
        is_text = document["kind"] == RequestKind.TEXT
        return RequestRecord(
            phase=document["phase"],
            traffic=document["traffic"],
            index=document["index"],
            shape=_text_shape(document) if is_text else _image_shape(document),
            due_ns=document["due_ns"],
            sent_ns=document["sent_ns"],
            ended_ns=document["ended_ns"],
            reply=Reply(
                outcome=Outcome(document["outcome"]),
                chunk_ns=tuple(document["chunk_ns"]),
                http_status=document["http_status"],
                error=document["error"],
                finish_reason=document.get("finish_reason", ""),
                prompt_tokens=document.get("prompt_tokens"),
                output_tokens=document.get("output_tokens"),
                num_images=document.get("num_images", 0),
                image_bytes=document.get("image_bytes", 0),
                server_queue_s=document["server_queue_s"],
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"not a request record: {line[:80]!r} ({error!r})") from error


def _text_shape(document: dict[str, int]) -> TextShape:
    return TextShape(
        prompt_tokens=document["asked_prompt_tokens"],
        output_tokens=document["asked_output_tokens"],
    )


def _image_shape(document: dict[str, int]) -> ImageShape:
    return ImageShape(
        width=document["width"],
        height=document["height"],
        num_steps=document["num_steps"],
        guidance_scale=document["guidance_scale"],
        num_images=document["asked_images"],
    )
