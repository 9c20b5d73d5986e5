"""From the device loop's thread to the event loop, one wake-up per burst.

A text step ends with one token for each running sequence; waking the event loop once for all of
them keeps the loop's thread out of the way.
"""

import asyncio
import threading
from collections.abc import Callable

from loadsheet.runtime.update import Update

Deliver = Callable[[Update], None]


class Bridge:
    """Runs `deliver(update)` on the event loop, in the order in which updates were posted."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop) -> None:
        self._event_loop = event_loop
        self._lock = threading.Lock()
        self._posted: list[tuple[Deliver, Update]] = []

    def post(self, deliver: Deliver, update: Update) -> None:
        """Thread-safe; never blocks on the event loop."""
        with self._lock:
            self._posted.append((deliver, update))
            is_first = len(self._posted) == 1
        if is_first:
            self._wake()

    def _wake(self) -> None:
        try:
            self._event_loop.call_soon_threadsafe(self._deliver_all)
        except RuntimeError:  # the event loop is closed: nobody waits for updates any more
            with self._lock:
                self._posted.clear()

    def _deliver_all(self) -> None:
        with self._lock:
            posted, self._posted = self._posted, []
        for deliver, update in posted:
            deliver(update)
