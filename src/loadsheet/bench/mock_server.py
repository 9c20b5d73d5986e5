"""A deterministic server with scripted delays: the known answer that the client must measure.

It is a raw asyncio protocol that reads just enough HTTP/1.1 for this client, so that it is faster
than what it helps to measure. A script maps a request to its reply; delays count from the moment
the request was complete.

    python -m loadsheet.bench.mock_server --port 18000
"""

import argparse
import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

_JSON = "application/json"
_EVENTS = "text/event-stream"
_MODELS = b'{"object":"list","data":[{"id":"mock-text","kind":"text"},{"id":"mock-image","kind":"image"}]}'  # noqa: E501


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of the body, sent `after_s` after the piece before it."""

    after_s: float
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`hangs_up` closes the connection after the last piece instead of ending the body."""

    status: int = 200
    content_type: str = _JSON
    pieces: tuple[Piece, ...] = ()
    hangs_up: bool = False


Script = Callable[[str, dict[str, object]], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The default script: how fast tokens and images come."""

    ttft_s: float = 0.0
    itl_s: float = 0.0
    image_s: float = 0.0

    def __call__(self, path: str, body: dict[str, object]) -> Reply:
        if path == "/v1/chat/completions":
            return text_reply(
                [self.ttft_s, *[self.itl_s] * (_integer(body, "max_tokens", 16) - 1)],
                prompt_tokens=len(json.dumps(body.get("messages"))) // 6,
            )
        if path == "/v1/images/generations":
            return image_reply(self.image_s, num_images=_integer(body, "n", 1))
        return Reply(pieces=(Piece(after_s=0.0, data=_MODELS),))


def text_reply(
    gaps_s: list[float], *, prompt_tokens: int = 8, queue_ms: float | None = None
) -> Reply:
    """A stream with one token per gap, the role chunk just before the first, then usage."""
    role = _event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    tokens = [
        _event({"choices": [{"index": 0, "delta": {"content": f" w{index}"}}]})
        for index in range(len(gaps_s))
    ]
    usage: dict[str, object] = {
        "choices": [],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": len(gaps_s)},
    }
    if queue_ms is not None:
        usage["metrics"] = {"queue_time_ms": queue_ms}
    pieces = [Piece(after_s=gap_s, data=token) for gap_s, token in zip(gaps_s, tokens, strict=True)]
    pieces[0] = Piece(after_s=gaps_s[0], data=role + tokens[0])
    tail = Piece(after_s=0.0, data=_event(usage) + b"data: [DONE]\n\n")
    return Reply(content_type=_EVENTS, pieces=(*pieces, tail))


def image_reply(after_s: float, *, num_images: int = 1) -> Reply:
    document = {"created": 0, "data": [{"b64_json": "aGVsbG8="}] * num_images}
    return Reply(pieces=(Piece(after_s=after_s, data=json.dumps(document).encode()),))


def preview_reply(gaps_s: list[float]) -> Reply:
    """Previews at every gap but the last, which brings the finished image."""
    names = ["partial_image"] * (len(gaps_s) - 1) + ["completed"]
    return Reply(
        content_type=_EVENTS,
        pieces=tuple(
            Piece(
                after_s=gap_s, data=_event({"type": f"image_generation.{name}", "b64_json": "aGk="})
            )
            for gap_s, name in zip(gaps_s, names, strict=True)
        ),
    )


def error_reply(status: int, message: str) -> Reply:
    document = {"error": {"message": message, "type": "mock", "param": None, "code": str(status)}}
    return Reply(status=status, pieces=(Piece(after_s=0.0, data=json.dumps(document).encode()),))


async def start_mock_server(script: Script, port: int = 0) -> asyncio.Server:
    """Listening on 127.0.0.1; the port is `server.sockets[0].getsockname()[1]`."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: _Connection(script), host="127.0.0.1", port=port, backlog=1024
    )


class _Connection(asyncio.Protocol):
    """One request at a time, as HTTP/1.1 without pipelining has it."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._received = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        del error
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, gap, rest = self._received.partition(b"\r\n\r\n")
        length = _content_length(head)
        if not gap or len(rest) < length:
            return
        self._received = rest[length:]
        path = head.split(b" ", 2)[1].decode()
        reply = self._script(path, json.loads(rest[:length]) if length else {})
        if len(reply.pieces) == 1 and reply.pieces[0].after_s == 0 and not reply.hangs_up:
            self._transport.write(_whole(reply))
        else:
            self._task = asyncio.get_running_loop().create_task(self._play(reply))

    async def _play(self, reply: Reply) -> None:
        """Sleeps to times counted from the start, so that delays do not add up their errors."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        self._transport.write(_head(reply, "transfer-encoding: chunked"))
        for piece in reply.pieces:
            due_s += piece.after_s
            if piece.after_s > 0:
                await asyncio.sleep(due_s - loop.time())
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece.data), piece.data))
        if reply.hangs_up:
            self._transport.close()
        else:
            self._transport.write(b"0\r\n\r\n")


def _whole(reply: Reply) -> bytes:
    data = reply.pieces[0].data
    return _head(reply, f"content-length: {len(data)}") + data


def _head(reply: Reply, framing: str) -> bytes:
    return (
        f"HTTP/1.1 {reply.status} X\r\ncontent-type: {reply.content_type}\r\n{framing}\r\n\r\n"
    ).encode()


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


def _event(document: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _integer(body: dict[str, object], key: str, default: int) -> int:
    value = body.get(key, default)
    return value if isinstance(value, int) else default


async def _serve(pace: Pace, port: int) -> None:
    server = await start_mock_server(pace, port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="serve scripted replies on 127.0.0.1")
    parser.add_argument("--port", type=int, default=18000)
    parser.add_argument("--ttft", type=float, default=0.05, metavar="S")
    parser.add_argument("--itl", type=float, default=0.01, metavar="S")
    parser.add_argument("--image", type=float, default=0.5, metavar="S")
    asked = parser.parse_args()
    pace = Pace(ttft_s=asked.ttft, itl_s=asked.itl, image_s=asked.image)
    asyncio.run(_serve(pace, asked.port))


if __name__ == "__main__":
    main()
