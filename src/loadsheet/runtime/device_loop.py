"""The device loop: one thread that feeds a scheduler, one thread per lane that runs its steps.

    submit ─┐                       ┌─► lane 0: executor.run(plan) ─┐
    cancel ─┼─► inbox ─► scheduler ─┤                               ├─► inbox
    drain  ─┘                       └─► lane 1: …                   ┘

Everything that changes the scheduler passes through one inbox, so a run is a sequence of events
with times, and replaying that sequence gives the same plans. Admission is answered while steps run,
because the loop's thread never computes.
"""

import logging
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from loadsheet.runtime.clock import Clock
from loadsheet.runtime.event_log import EventLogWriter
from loadsheet.runtime.executor import Executor, FailedOutput, StepResult
from loadsheet.runtime.outcome import (
    as_update,
    ends_request,
    finished,
    first_steps,
    step_outputs,
)
from loadsheet.runtime.payload import Payload
from loadsheet.runtime.update import (
    Accepted,
    Failed,
    Progress,
    Rejected,
    Sink,
    Started,
    Update,
)
from loadsheet.sched.event import Arrived, Cancelled, Event, Rejection, StepFinished
from loadsheet.sched.plan import ImageBatch, StepKind, StepPlan, Wait
from loadsheet.sched.scheduler import Scheduler, Snapshot
from loadsheet.workload.request import ImageRequest, Request

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSnapshot:
    """Counts at one moment. `busy_s_by_kind` adds up measured step durations."""

    is_alive: bool
    is_draining: bool
    scheduler: Snapshot
    steps_by_kind: Mapping[str, int]
    busy_s_by_kind: Mapping[str, float]


@dataclass(slots=True)
class _Entry:
    """A request between its acceptance and its end."""

    request: Request
    sink: Sink
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class _Submit:
    request: Request
    payload: Payload
    sink: Sink


@dataclass(frozen=True, slots=True)
class _Cancel:
    request_id: str


@dataclass(frozen=True, slots=True)
class _StepDone:
    plan: StepPlan
    outcome: StepResult | Exception
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Drain:
    pass


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


_Message = _Submit | _Cancel | _StepDone | _Drain | _Stop


class DeviceLoop:
    """Runs one device. `submit`, `cancel`, `drain` and `snapshot` may be called from any thread."""

    def __init__(
        self,
        scheduler: Scheduler,
        executor: Executor,
        clock: Clock,
        *,
        num_lanes: int = 1,
        event_log: EventLogWriter | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._clock = clock
        self._event_log = event_log
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._lanes: list[queue.SimpleQueue[StepPlan | None]] = [
            queue.SimpleQueue() for _ in range(num_lanes)
        ]
        self._entries: dict[str, _Entry] = {}
        self._in_step: set[str] = set()  # requests that a running step works for
        self._steps = dict.fromkeys(map(str, StepKind), 0)
        self._busy_s = dict.fromkeys(map(str, StepKind), 0.0)
        self._lock = threading.Lock()  # guards scheduler and counters against snapshot()
        self._idle = threading.Condition()  # notified when the last request left
        self._is_alive = False
        self._is_over = False
        self._is_draining = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._is_alive = True
        self._threads = [
            threading.Thread(target=self._run_lane, args=(lane,), name=f"lane-{lane}", daemon=True)
            for lane in range(len(self._lanes))
        ]
        self._threads.append(
            threading.Thread(target=self._run_guarded, name="device-loop", daemon=True)
        )
        for thread in self._threads:
            thread.start()

    def submit(self, request: Request, payload: Payload, sink: Sink) -> None:
        """Queue a request; its first update answers its admission. `sink` must not block."""
        self._inbox.put(_Submit(request, payload, sink))
        if self._is_over:  # nobody reads the inbox any more
            self._refuse_unread("the device loop has ended", self._clock.now_s())

    def cancel(self, request_id: str) -> None:
        """Stop working for a request; no update follows. Unknown ids are ignored."""
        self._inbox.put(_Cancel(request_id))

    def drain(self) -> None:
        """Refuse new requests from now on and finish the accepted ones."""
        self._is_draining = True
        self._inbox.put(_Drain())

    def wait_idle(self, timeout_s: float) -> bool:
        """True once no request is left, False if `timeout_s` passes first."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._entries, timeout_s)

    def stop(self) -> None:
        """End the threads after the running steps; what is left fails with a clear message."""
        self._inbox.put(_Stop())
        for thread in self._threads:
            thread.join()

    def now_s(self) -> float:
        return self._clock.now_s()

    def snapshot(self) -> LoopSnapshot:
        with self._lock:
            return LoopSnapshot(
                is_alive=self._is_alive,
                is_draining=self._is_draining,
                scheduler=self._scheduler.snapshot(),
                steps_by_kind=dict(self._steps),
                busy_s_by_kind=dict(self._busy_s),
            )

    def _run_guarded(self) -> None:
        try:
            self._run()
            self._end("the server is shutting down")
        except Exception:
            logger.exception("device loop died")
            self._end("the device loop died; see the server's log")

    def _run(self) -> None:
        while True:
            wait_s = self._dispatch()
            for message in self._receive(wait_s):
                if isinstance(message, _Stop):
                    return
                self._handle(message)

    def _receive(self, wait_s: float | None) -> list[_Message]:
        """The next message, waiting up to `wait_s`, and whatever else is already there."""
        messages: list[_Message] = []
        try:
            messages.append(self._inbox.get(timeout=wait_s))
            while True:
                messages.append(self._inbox.get_nowait())
        except queue.Empty:
            return messages

    def _handle(self, message: _Message) -> None:
        match message:
            case _Submit():
                self._on_submit(message)
            case _Cancel():
                self._on_cancel(message.request_id)
            case _StepDone():
                self._on_step_done(message)
            case _Drain():
                self._on_drain()
            case _Stop():
                raise AssertionError("stop is handled by the caller")

    def _dispatch(self) -> float | None:
        """Start every step the scheduler wants now; seconds until it wants to be asked again."""
        while True:
            now_s = self._clock.now_s()
            with self._lock:
                plan = self._scheduler.plan(now_s)
            if plan is None:
                return None
            if isinstance(plan, Wait):
                return max(0.0, plan.until_s - now_s)
            self._start_step(plan, now_s)

    def _start_step(self, plan: StepPlan, now_s: float) -> None:
        if self._event_log is not None:
            self._event_log.record_plan(plan, now_s)
        self._in_step.update(plan.request_ids())
        self._lanes[plan.lane].put(plan)
        for request_id in first_steps(plan):
            self._tell(request_id, Started(at_s=now_s))

    def _run_lane(self, lane: int) -> None:
        while (plan := self._lanes[lane].get()) is not None:
            start_s = time.perf_counter()
            outcome: StepResult | Exception
            try:
                outcome = self._executor.run(plan)
            except Exception as error:  # one bad step must not end the service
                logger.exception("step failed plan=%s", plan)
                outcome = error
            self._inbox.put(_StepDone(plan, outcome, time.perf_counter() - start_s))

    def _on_submit(self, message: _Submit) -> None:
        request = message.request
        now_s = self._clock.now_s()
        if request.request_id in self._entries:
            text = f"request id {request.request_id!r} is already in use; give each request its own"
            _call_sink(message.sink, Failed(at_s=now_s, message=text))
            return
        rejection = self._tell_scheduler(Arrived(request=request), now_s)
        if rejection is not None:
            _call_sink(message.sink, Rejected(at_s=now_s, rejection=rejection))
            return
        self._entries[request.request_id] = _Entry(request, message.sink)
        try:
            self._executor.admit(request, message.payload)
        except Exception as error:
            logger.exception("admit failed request_id=%s", request.request_id)
            self._tell_scheduler(Cancelled(request_id=request.request_id), now_s)
            self._tell(request.request_id, Failed(at_s=now_s, message=str(error)))
            self._forget(request.request_id)
            return
        self._tell(request.request_id, Accepted(at_s=now_s))

    def _on_cancel(self, request_id: str) -> None:
        entry = self._entries.get(request_id)
        if entry is None or entry.is_cancelled:
            return
        entry.is_cancelled = True
        self._tell_scheduler(Cancelled(request_id=request_id), self._clock.now_s())
        if request_id not in self._in_step:
            self._release(request_id)

    def _on_drain(self) -> None:
        if self._event_log is not None:
            self._event_log.record_drain(self._clock.now_s())
        with self._lock:
            self._scheduler.drain()

    def _on_step_done(self, message: _StepDone) -> None:
        now_s = self._clock.now_s()
        plan = message.plan
        outputs = step_outputs(plan, message.outcome)
        kind = str(plan.kind)
        with self._lock:
            self._steps[kind] += 1
            self._busy_s[kind] += message.duration_s
        ended = tuple(output.request_id for output in outputs if ends_request(output))
        self._tell_scheduler(
            StepFinished(step_id=plan.step_id, duration_s=message.duration_s, ended=ended), now_s
        )
        failed = {output.request_id for output in outputs if isinstance(output, FailedOutput)}
        self._report_progress(plan, failed, now_s)
        for output in outputs:
            self._tell(output.request_id, as_update(output, now_s))
        self._leave_step(plan, {*ended, *finished(outputs)})

    def _report_progress(self, plan: StepPlan, failed: set[str], now_s: float) -> None:
        if plan.kind is not StepKind.DENOISE or not isinstance(plan.batch, ImageBatch):
            return
        for item in plan.batch.items:
            entry = self._entries[item.request_id]
            if item.request_id not in failed and isinstance(entry.request, ImageRequest):
                progress = Progress(
                    at_s=now_s, step_idx=item.step_idx, num_steps=entry.request.num_steps
                )
                self._tell(item.request_id, progress)

    def _leave_step(self, plan: StepPlan, over: set[str]) -> None:
        for request_id in plan.request_ids():
            self._in_step.discard(request_id)
            if request_id in over or self._entries[request_id].is_cancelled:
                self._release(request_id)

    def _release(self, request_id: str) -> None:
        self._executor.release(request_id)
        self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        with self._idle:
            del self._entries[request_id]
            self._idle.notify_all()

    def _tell_scheduler(self, event: Event, now_s: float) -> Rejection | None:
        if self._event_log is not None:
            self._event_log.record_event(event, now_s)
        with self._lock:
            return self._scheduler.on_event(event, now_s)

    def _tell(self, request_id: str, update: Update) -> None:
        entry = self._entries[request_id]
        if not entry.is_cancelled and not _call_sink(entry.sink, update):
            self.cancel(request_id)

    def _end(self, reason: str) -> None:
        self._is_alive = False
        self._is_over = True
        now_s = self._clock.now_s()
        for lane in self._lanes:
            lane.put(None)
        for thread in self._threads[:-1]:  # a running step still reads its requests' state
            thread.join()
        for request_id in list(self._entries):
            self._tell(request_id, Failed(at_s=now_s, message=reason))
            self._release(request_id)
        self._refuse_unread(reason, now_s)

    def _refuse_unread(self, reason: str, now_s: float) -> None:
        try:
            while True:
                message = self._inbox.get_nowait()
                if isinstance(message, _Submit):
                    _call_sink(message.sink, Failed(at_s=now_s, message=reason))
        except queue.Empty:
            return


def _call_sink(sink: Sink, update: Update) -> bool:
    try:
        sink(update)
    except Exception:  # a waiter's bug must not stop the device
        logger.exception("sink failed update=%s", type(update).__name__)
        return False
    return True
