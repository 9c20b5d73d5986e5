"""The HTTP side of the client: posts calls, stamps every piece that arrives, never retries.

aiohttp, because its parser is C: on one core it takes several times the requests per second that
httpx does, and the client must not be what is measured. A kept connection is dropped after 2 s
unused, before the usual servers do it (uvicorn: 5 s), so that no request meets a closing socket.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

import aiohttp

from loadsheet.bench.call import Call, ReplyReader
from loadsheet.bench.record import Outcome, Reply, RequestRecord
from loadsheet.errors import LoadsheetError

Clock = Callable[[], int]

_KEEPALIVE_S = 2.0
_REFUSALS = (429, 503)
_NOISE = (ValueError, KeyError, TypeError, AttributeError, IndexError)


class Unreachable(LoadsheetError):
    """The server gave no HTTP answer at all."""


class HttpClient:
    """`clock_ns` stamps; `timeout_s` bounds one request from its send."""

    def __init__(self, *, clock_ns: Clock, timeout_s: float, api_key: str | None = None) -> None:
        headers = {"Content-Type": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._clock_ns = clock_ns
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**20,
        )

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def get(self, url: str) -> tuple[int, bytes]:
        """Status and body; raises Unreachable."""
        try:
            async with asyncio.timeout(self._timeout_s), self._session.get(url) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"no answer from {url}: {_short(error)}") from error

    async def send(self, call: Call, *, base_url: str, phase: str, due_ns: int) -> RequestRecord:
        """Never raises: whatever happens becomes the record's outcome, cancellation too."""
        reader = call.reader()
        sent_ns = self._clock_ns()
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._exchange(base_url + call.path, call.body, reader)
        except asyncio.CancelledError:  # the run is over; what came so far is kept
            reply = reader.reply(Outcome.CUT)
        except TimeoutError:
            reply = reader.reply(Outcome.TIMEOUT, f"no end within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            reply = reader.reply(Outcome.ERROR, _short(error))
        except _NOISE as error:
            reply = reader.reply(Outcome.ERROR, f"not the expected JSON: {_short(error)}")
        return RequestRecord(
            phase=phase,
            traffic=call.traffic,
            index=call.index,
            shape=call.shape,
            due_ns=due_ns,
            sent_ns=sent_ns,
            ended_ns=self._clock_ns(),
            reply=reply,
        )

    async def _exchange(self, url: str, body: bytes, reader: ReplyReader) -> Reply:
        async with self._session.post(url, data=body) as response:
            if response.status != 200:
                return _refusal(response.status, await response.read())
            if response.content_type == "text/event-stream":
                async for data in response.content.iter_any():
                    reader.feed(data, self._clock_ns())
            else:
                whole = await response.read()
                reader.feed_whole(whole, self._clock_ns())
        return reader.reply()


def _refusal(status: int, body: bytes) -> Reply:
    return Reply(
        outcome=Outcome.REFUSED if status in _REFUSALS else Outcome.ERROR,
        http_status=status,
        error=body[:300].decode("utf-8", "replace"),
    )


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
