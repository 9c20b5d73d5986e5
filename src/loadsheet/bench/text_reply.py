"""What a streamed chat or completion says, chunk by chunk.

The counting rules are vLLM bench's: a chunk with content counts, also with empty content; a chunk
that only announces the role does not; neither does the usage chunk, whose `choices` are empty.
"""

import json

from loadsheet.bench.record import Outcome, Reply
from loadsheet.bench.sse import EventParser

_DONE = b"[DONE]"


class TextReply:
    def __init__(self) -> None:
        self._events = EventParser()
        self._chunk_ns: list[int] = []
        self._prompt_tokens: int | None = None
        self._output_tokens: int | None = None
        self._server_queue_s: float | None = None
        self._finish_reason = ""
        self._error = ""
        self._is_done = False

    def feed(self, data: bytes, at_ns: int) -> None:
        """Raises ValueError, KeyError, TypeError or AttributeError for what is no chat chunk."""
        for payload in self._events.feed(data):
            if payload == _DONE:
                self._is_done = True
            else:
                self._note(payload, at_ns)

    def feed_whole(self, body: bytes, at_ns: int) -> None:
        """A reply that was not streamed counts as one chunk."""
        document = json.loads(body)
        self._chunk_ns.append(at_ns)
        self._finish_reason = document["choices"][0].get("finish_reason") or ""
        self._read_usage(document)
        self._is_done = True

    def reply(self, outcome: Outcome = Outcome.OK, error: str = "") -> Reply:
        if outcome is Outcome.OK:
            outcome, error = self._verdict()
        return Reply(
            outcome=outcome,
            chunk_ns=tuple(self._chunk_ns),
            error=error,
            finish_reason=self._finish_reason,
            prompt_tokens=self._prompt_tokens,
            output_tokens=self._output_tokens,
            server_queue_s=self._server_queue_s,
        )

    def _verdict(self) -> tuple[Outcome, str]:
        if self._error:
            return Outcome.ERROR, self._error
        if not self._chunk_ns:
            return Outcome.ERROR, "the reply holds no content"
        if not self._is_done and not self._finish_reason:
            return Outcome.ERROR, "the stream broke off"
        return Outcome.OK, ""

    def _note(self, payload: bytes, at_ns: int) -> None:
        document = json.loads(payload)
        choices = document.get("choices") or ()
        if any(_has_content(choice) for choice in choices):
            self._chunk_ns.append(at_ns)
        for choice in choices:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
        if "error" in document:
            self._error = str(document["error"])[:300]
        if document.get("usage"):
            self._read_usage(document)

    def _read_usage(self, document: dict[str, dict[str, float]]) -> None:
        usage = document.get("usage") or {}
        if "completion_tokens" in usage:
            self._output_tokens = int(usage["completion_tokens"])
        if "prompt_tokens" in usage:
            self._prompt_tokens = int(usage["prompt_tokens"])
        queue_ms = (document.get("metrics") or {}).get("queue_time_ms")
        if queue_ms is not None:
            self._server_queue_s = queue_ms / 1000


def _has_content(choice: dict[str, dict[str, object]]) -> bool:
    delta = choice.get("delta")
    if delta is None:
        return "text" in choice  # the completions endpoint
    content = delta.get("content")
    if content is None:
        content = delta.get("reasoning_content", delta.get("reasoning"))
    if content is None:
        return bool(delta.get("tool_calls"))
    return content != "" or "role" not in delta
