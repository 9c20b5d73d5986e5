"""The work behind one HTTP call: its requests on the device loop, and their updates in one queue.

admit() ──► every request accepted, or ApiError and all of them cancelled
updates() ─► (index, update) until every request has ended
close() ───► what has not ended is cancelled; safe to call twice
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from loadsheet.runtime.payload import Payload
from loadsheet.runtime.update import Accepted, Encoded, Failed, Image, Rejected, Token, Update
from loadsheet.server.bridge import Bridge
from loadsheet.server.errors import ApiError, failed, from_rejection, unavailable
from loadsheet.server.serving_loop import ServingLoop
from loadsheet.server.timeline import Outcome, Timeline
from loadsheet.workload.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request for the device: its sizes and promises, and what to compute."""

    request: Request
    payload: Payload


class Recorder(Protocol):
    """Told of every update and of every end, for metrics."""

    def updated(self, timeline: Timeline, update: Update) -> None: ...

    def ended(self, timeline: Timeline) -> None: ...


class Job:
    """Lives on the event loop; only `_post` is called from the device loop's thread."""

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        loop: ServingLoop,
        bridge: Bridge,
        recorder: Recorder,
        max_pending: int,
    ) -> None:
        self.timelines = tuple(Timeline(task.request) for task in tasks)
        self._tasks = tuple(tasks)
        self._loop = loop
        self._bridge = bridge
        self._recorder = recorder
        self._inbox: asyncio.Queue[tuple[int, Update]] = asyncio.Queue(max_pending)
        self._open: set[int] = set()
        self._is_overrun = False

    async def admit(self) -> None:
        """Submit everything and wait for the answers; one refusal takes back the others."""
        for index, task in enumerate(self._tasks):
            self._open.add(index)
            self._loop.submit(task.request, task.payload, partial(self._post, index))
        waiting = set(self._open)
        early: list[tuple[int, Update]] = []
        while waiting:
            index, update = await self._inbox.get()
            waiting.discard(index)
            if isinstance(update, Rejected):
                raise from_rejection(update.rejection)
            if isinstance(update, Failed):
                raise self._failure(update)
            if not isinstance(update, Accepted):
                early.append((index, update))  # work may start while others are still answered
        self._put_back(early)

    async def updates(self) -> AsyncIterator[tuple[int, Update]]:
        """Until every request has ended; raises ApiError when one fails or too much is unread."""
        num_open = len(self._tasks)
        while num_open:
            if self._is_overrun and self._inbox.empty():
                raise ApiError(408, "reader_too_slow", "the reply was read too slowly")
            index, update = await self._inbox.get()
            if isinstance(update, Failed):
                raise self._failure(update)
            num_open -= _is_end(update)
            yield index, update

    def close(self) -> None:
        for index in tuple(self._open):
            self._open.discard(index)
            self._loop.cancel(self._tasks[index].request.request_id)
            self.timelines[index].end(Outcome.ABORT, self._loop.now_s())
            self._recorder.ended(self.timelines[index])

    def _post(self, index: int, update: Update) -> None:
        self._bridge.post(partial(self._deliver, index), update)

    def _deliver(self, index: int, update: Update) -> None:
        if index not in self._open:
            return
        timeline = self.timelines[index]
        timeline.note(update)
        self._recorder.updated(timeline, update)
        if _is_end(update):
            self._open.discard(index)
            self._recorder.ended(timeline)
        try:
            self._inbox.put_nowait((index, update))
        except asyncio.QueueFull:
            self._is_overrun = True
            self.close()

    def _put_back(self, early: list[tuple[int, Update]]) -> None:
        later = [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]
        for item in early + later:
            self._inbox.put_nowait(item)

    def _failure(self, update: Failed) -> ApiError:
        if self._loop.snapshot().is_alive:
            return failed(update.message)
        return unavailable(update.message, "engine_dead")


def _is_end(update: Update) -> bool:
    if isinstance(update, Token):
        return update.finish_reason is not None
    return isinstance(update, Image | Encoded | Failed | Rejected)
