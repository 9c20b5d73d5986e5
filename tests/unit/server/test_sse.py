"""Event framing, and what a stream does when it ends, fails or is left."""

import asyncio

import pytest

from loadsheet.server.errors import failed
from loadsheet.server.sse import EventStream, comment, data_event


def test_framing():
    assert data_event({"a": "ä\n"}) == 'data: {"a":"ä\\n"}\n\n'.encode()
    assert data_event({"a": 1}, "done") == b'event: done\ndata: {"a":1}\n\n'
    assert comment("step 1/2") == b": step 1/2\n\n"


def test_a_broken_character_does_not_break_the_stream():
    assert data_event({"a": "\ud800"}) == b'data: {"a":"?"}\n\n'


class Wire:
    """The two ends of an ASGI connection; `leave()` is the client going away."""

    def __init__(self) -> None:
        self.sent = []
        self.closed = 0
        self._gone = asyncio.Event()

    def leave(self):
        self._gone.set()

    async def receive(self):
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    def close(self):
        self.closed += 1

    async def run(self, events):
        stream = EventStream(events, close=self.close, headers={"X-Loadsheet-Ignored": "a"})
        await asyncio.wait_for(stream({"type": "http"}, self.receive, self.send), 5)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


async def test_a_whole_stream():
    async def events():
        yield b"one"
        yield b"two"

    wire = Wire()
    await wire.run(events())
    headers = dict(wire.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"x-accel-buffering"] == b"no"
    assert headers[b"x-loadsheet-ignored"] == b"a"
    assert b"content-length" not in headers
    assert [message["body"] for message in wire.sent[1:]] == [b"one", b"two", b""]
    assert [message["more_body"] for message in wire.sent[1:]] == [True, True, False]
    assert wire.closed == 1


@pytest.mark.parametrize(
    ("error", "code"), [(failed("NaN"), b"execution_failed"), (KeyError("x"), b"execution_failed")]
)
async def test_a_failure_becomes_one_last_event(error, code):
    async def events():
        yield b"one"
        raise error

    wire = Wire()
    await wire.run(events())
    assert wire.body.startswith(b'onedata: {"error":')
    assert code in wire.body
    assert b"[DONE]" not in wire.body
    assert wire.sent[-1]["more_body"] is False
    assert wire.closed == 1


async def test_a_client_that_leaves_ends_the_stream():
    is_cancelled = asyncio.Event()

    async def events():
        yield b"one"
        try:
            await asyncio.Event().wait()
        finally:
            is_cancelled.set()

    wire = Wire()
    running = asyncio.ensure_future(wire.run(events()))
    await asyncio.sleep(0.01)
    assert wire.body == b"one"
    wire.leave()
    await running
    assert is_cancelled.is_set()
    assert wire.closed == 1


async def test_a_broken_connection_is_raised_after_closing():
    async def events():
        yield b"one"

    wire = Wire()

    async def send(message):
        raise OSError("reset")

    stream = EventStream(events(), close=wire.close, headers={})
    with pytest.raises(OSError, match="reset"):
        await stream({"type": "http"}, wire.receive, send)
    assert wire.closed == 1
