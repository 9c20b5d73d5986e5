"""One HTTP call from body to reply: read, validate, submit, wait for admission, answer.

Nothing is sent before the device has accepted the work, so a refusal always has its own status. The
job is closed on every path out, which frees the device when a client leaves.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from loadsheet.server.body import ignored_header
from loadsheet.server.bridge import Bridge
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.chat import ChatFormat, read_chat
from loadsheet.server.classify import read_classification, whole_classification
from loadsheet.server.completions import CompletionFormat, read_completion
from loadsheet.server.config import ServerConfig
from loadsheet.server.disconnect import unless_gone
from loadsheet.server.embeddings import read_embedding, whole_embeddings
from loadsheet.server.encoder_body import EncoderCall
from loadsheet.server.image_reply import streamed_images, whole_images
from loadsheet.server.images import ImageCall, read_image
from loadsheet.server.job import Job, Recorder, Task
from loadsheet.server.request_body import read_body
from loadsheet.server.serving_loop import ServingLoop
from loadsheet.server.sse import EventStream
from loadsheet.server.text_body import MAX_SEED, CallContext, TextCall
from loadsheet.server.text_reply import TextFormat, streamed_text, whole_text

Whole = Callable[[Job], Coroutine[object, object, dict[str, object]]]
Streamed = Callable[[Job], AsyncIterator[bytes]]


class Service:
    """The endpoints that work on the device. Made on the event loop that serves them."""

    def __init__(
        self, loop: ServingLoop, catalog: ModelCatalog, config: ServerConfig, recorder: Recorder
    ) -> None:
        self._loop = loop
        self._catalog = catalog
        self._config = config
        self._recorder = recorder
        self._bridge = Bridge(asyncio.get_running_loop())

    async def chat(self, http: HttpRequest) -> Response:
        context = self._context("chatcmpl")
        body = await read_body(http.headers, http.receive, self._config)
        call = await asyncio.to_thread(read_chat, body, self._catalog, context)
        return await self._answer_text(http, call, ChatFormat())

    async def completion(self, http: HttpRequest) -> Response:
        context = self._context("cmpl")
        body = await read_body(http.headers, http.receive, self._config)
        call = await asyncio.to_thread(read_completion, body, self._catalog, context)
        return await self._answer_text(http, call, CompletionFormat())

    async def image(self, http: HttpRequest) -> Response:
        context = self._context("img")
        body = await read_body(http.headers, http.receive, self._config)
        call = read_image(body, self._catalog, context, secrets.randbelow(MAX_SEED))
        return await self._answer(
            http, call, lambda job: whole_images(call, job), lambda job: streamed_images(call, job)
        )

    async def embedding(self, http: HttpRequest) -> Response:
        context = self._context("embd")
        body = await read_body(http.headers, http.receive, self._config)
        asked = await asyncio.to_thread(read_embedding, body, self._catalog, context)
        return await self._answer_whole(http, asked.call, lambda job: whole_embeddings(asked, job))

    async def classification(self, http: HttpRequest) -> Response:
        context = self._context("classify")
        body = await read_body(http.headers, http.receive, self._config)
        call = await asyncio.to_thread(read_classification, body, self._catalog, context)
        return await self._answer_whole(http, call, lambda job: whole_classification(call, job))

    def _context(self, prefix: str) -> CallContext:
        """Taken before the body is read: the client's clock runs from here."""
        return CallContext(
            call_id=f"{prefix}-{secrets.token_hex(12)}",
            created=int(time.time()),
            arrival_s=self._loop.now_s(),
            config=self._config,
        )

    async def _answer_text(
        self, http: HttpRequest, call: TextCall, text_format: TextFormat
    ) -> Response:
        return await self._answer(
            http,
            call,
            lambda job: whole_text(call, job, text_format),
            lambda job: streamed_text(call, job, text_format),
        )

    async def _answer_whole(self, http: HttpRequest, call: EncoderCall, whole: Whole) -> Response:
        job = self._job(call.tasks)
        try:
            await unless_gone(http.receive, job.admit())
            reply = await unless_gone(http.receive, whole(job))
            return JSONResponse(reply, headers=ignored_header(call.ignored))
        finally:
            job.close()

    def _job(self, tasks: Sequence[Task]) -> Job:
        return Job(
            tasks,
            loop=self._loop,
            bridge=self._bridge,
            recorder=self._recorder,
            max_pending=self._config.max_pending_updates,
        )

    async def _answer(
        self, http: HttpRequest, call: TextCall | ImageCall, whole: Whole, streamed: Streamed
    ) -> Response:
        job = self._job(call.tasks)
        headers = ignored_header(call.ignored)
        try:
            await unless_gone(http.receive, job.admit())
            if call.is_streamed:  # from here on the stream closes the job
                return EventStream(streamed(job), close=job.close, headers=headers)
            return JSONResponse(await unless_gone(http.receive, whole(job)), headers=headers)
        except BaseException:
            job.close()
            raise
