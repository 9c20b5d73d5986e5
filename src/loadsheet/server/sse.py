"""Server-sent events: their bytes, and a response that cleans up however it ends.

Each event is sent at once. The headers forbid buffering, because a proxy that collects chunks would
turn every time to first token into the end-to-end time.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from loadsheet.server.disconnect import until_disconnect
from loadsheet.server.errors import ApiError, failed

logger = logging.getLogger(__name__)

DONE = b"data: [DONE]\n\n"


def data_event(payload: Mapping[str, object], name: str | None = None) -> bytes:
    prefix = f"event: {name}\n" if name else ""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return f"{prefix}data: {text}\n\n".encode("utf-8", "replace")


def comment(text: str) -> bytes:
    """A line that every client skips; it still keeps the connection warm."""
    return f": {text}\n\n".encode()


class EventStream(Response):
    """Sends `events` until they end or the client leaves; calls `close` in every case.

    An ApiError inside becomes one error event and ends the stream: the status is already sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        *,
        close: Callable[[], None],
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.body = b""
        self._events = events
        self._close = close
        unbuffered = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        self.raw_headers = []
        self.init_headers({**headers, **unbuffered})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        pump = asyncio.ensure_future(self._pump(send))
        gone = asyncio.ensure_future(until_disconnect(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._close()
            for task in (pump, gone):
                task.cancel()
            results = await asyncio.gather(pump, gone, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _pump(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers},
        )
        try:
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        except ApiError as error:
            await _send_error(error, send)
        except Exception:
            logger.exception("stream failed")
            await _send_error(failed("the server failed while streaming; see its log"), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_error(error: ApiError, send: Send) -> None:
    event = data_event(error.body())
    await send({"type": "http.response.body", "body": event, "more_body": True})
