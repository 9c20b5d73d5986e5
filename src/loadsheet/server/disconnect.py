"""Noticing that the client left, while work for it is under way."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.types import Receive

from loadsheet.server.errors import client_closed

_T = TypeVar("_T")


async def until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: Coroutine[object, object, _T]) -> _T:
    """The result of `work`; cancels it and raises ApiError once the client leaves."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(until_disconnect(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise client_closed()
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
