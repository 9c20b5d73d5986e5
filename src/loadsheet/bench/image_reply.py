"""What an image generation says: one JSON object, or previews and finished images over SSE."""

import json

from loadsheet.bench.record import Outcome, Reply
from loadsheet.bench.sse import EventParser

_DONE = b"[DONE]"


class ImageReply:
    """`feed` and `feed_whole` raise ValueError, KeyError, TypeError or AttributeError for noise."""

    def __init__(self) -> None:
        self._events = EventParser()
        self._preview_ns: list[int] = []
        self._num_images = 0
        self._image_bytes = 0
        self._error = ""

    def feed(self, data: bytes, at_ns: int) -> None:
        for payload in self._events.feed(data):
            if payload != _DONE:
                self._note(json.loads(payload), at_ns)

    def feed_whole(self, body: bytes, at_ns: int) -> None:
        del at_ns  # the image is complete when the response is
        for image in json.loads(body)["data"]:
            self._count(image)

    def reply(self, outcome: Outcome = Outcome.OK, error: str = "") -> Reply:
        if outcome is Outcome.OK and (self._error or self._num_images == 0):
            outcome, error = Outcome.ERROR, self._error or "the reply holds no image"
        return Reply(
            outcome=outcome,
            chunk_ns=tuple(self._preview_ns),
            error=error,
            num_images=self._num_images,
            image_bytes=self._image_bytes,
        )

    def _note(self, event: dict[str, str], at_ns: int) -> None:
        if "error" in event:
            self._error = str(event["error"])[:300]
        elif event.get("type", "").endswith(".partial_image"):
            self._preview_ns.append(at_ns)
        elif event.get("type", "").endswith(".completed"):
            self._count(event)

    def _count(self, image: dict[str, str]) -> None:
        """An image comes as base64, or as a link where a server insists."""
        if not image.get("b64_json") and not image.get("url"):
            raise ValueError("an image without b64_json or url")
        self._num_images += 1
        self._image_bytes += len(image.get("b64_json") or "") * 3 // 4
