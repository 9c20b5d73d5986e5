"""The seam to the device: what the server needs of a running loop, and nothing more."""

from typing import Protocol

from loadsheet.runtime.device_loop import LoopSnapshot
from loadsheet.runtime.payload import Payload
from loadsheet.runtime.update import Sink
from loadsheet.workload.request import Request


class ServingLoop(Protocol):
    """Every method is thread-safe and returns at once; updates come from the loop's thread.

    A request's first update is Accepted, Rejected or Failed. No update follows a cancellation.
    """

    def submit(self, request: Request, payload: Payload, sink: Sink) -> None: ...

    def cancel(self, request_id: str) -> None: ...

    def now_s(self) -> float: ...

    def snapshot(self) -> LoopSnapshot: ...

    def drain(self) -> None: ...
