"""Admission, updates and cancellation of a job, against a loop that the test plays by hand."""

import asyncio
from types import SimpleNamespace

import pytest

from loadsheet.runtime.executor import FinishReason
from loadsheet.runtime.payload import TextPayload
from loadsheet.runtime.update import Accepted, Failed, Rejected, Started, Token
from loadsheet.sched.event import Rejection, RejectReason
from loadsheet.server.bridge import Bridge
from loadsheet.server.errors import ApiError
from loadsheet.server.job import Job, Task
from loadsheet.server.timeline import Outcome
from loadsheet.workload.request import TextRequest


class HandLoop:
    """Keeps the sinks; the test calls them."""

    def __init__(self) -> None:
        self.sinks = {}
        self.cancelled = []
        self.is_alive = True

    def submit(self, request, payload, sink):
        self.sinks[request.request_id] = sink

    def cancel(self, request_id):
        self.cancelled.append(request_id)

    def now_s(self):
        return 9.0

    def snapshot(self):
        return SimpleNamespace(is_alive=self.is_alive)


class Ends:
    def __init__(self) -> None:
        self.outcomes = []

    def updated(self, timeline, update):
        pass

    def ended(self, timeline):
        self.outcomes.append((timeline.request.request_id, timeline.outcome))


def task(request_id):
    request = TextRequest(
        request_id=request_id, model="m", arrival_s=0.0, prompt_tokens=1, max_output_tokens=9
    )
    return Task(request=request, payload=TextPayload(prompt_ids=(1,)))


def token(text, reason=None):
    return Token(at_s=2.0, token_id=1, text=text, finish_reason=reason)


@pytest.fixture
def loop():
    return HandLoop()


@pytest.fixture
def ends():
    return Ends()


@pytest.fixture
async def make_job(loop, ends):
    bridge = Bridge(asyncio.get_running_loop())

    def make(*request_ids, max_pending=100):
        tasks = [task(request_id) for request_id in request_ids]
        return Job(tasks, loop=loop, bridge=bridge, recorder=ends, max_pending=max_pending)

    return make


async def admitting(job, loop):
    """`admit()` under way, everything submitted."""
    waiting = asyncio.ensure_future(job.admit())
    await asyncio.sleep(0)
    assert loop.sinks
    return waiting


async def test_all_must_be_accepted(make_job, loop):
    waiting = await admitting(make_job("a", "b"), loop)
    loop.sinks["a"](Accepted(at_s=1.0))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    loop.sinks["b"](Accepted(at_s=1.0))
    await asyncio.wait_for(waiting, 5)


async def test_updates_before_the_last_admission_are_kept_in_order(make_job, loop, ends):
    job = make_job("a", "b")
    waiting = await admitting(job, loop)
    loop.sinks["a"](Accepted(at_s=1.0))
    loop.sinks["a"](Started(at_s=1.5))
    loop.sinks["a"](token("x"))
    loop.sinks["b"](Accepted(at_s=1.0))
    loop.sinks["b"](token("y", FinishReason.STOP))
    loop.sinks["a"](token("z", FinishReason.LENGTH))
    await asyncio.wait_for(waiting, 5)
    seen = [(index, update) async for index, update in job.updates()]
    assert [(index, getattr(update, "text", None)) for index, update in seen] == [
        (0, None),
        (0, "x"),
        (1, "y"),
        (0, "z"),
    ]
    assert ends.outcomes == [("b", Outcome.STOP), ("a", Outcome.LENGTH)]
    job.close()
    assert loop.cancelled == []


async def test_one_refusal_takes_back_the_others(make_job, loop, ends):
    job = make_job("a", "b", "c")
    waiting = await admitting(job, loop)
    loop.sinks["a"](Accepted(at_s=1.0))
    rejection = Rejection(request_id="b", reason=RejectReason.QUEUE_FULL, message="full")
    loop.sinks["b"](Rejected(at_s=1.0, rejection=rejection))
    with pytest.raises(ApiError) as caught:
        await asyncio.wait_for(waiting, 5)
    assert caught.value.status == 429
    job.close()
    assert loop.cancelled == ["a", "c"]
    assert dict(ends.outcomes) == {
        "a": Outcome.ABORT,
        "b": Outcome.REJECTED,
        "c": Outcome.ABORT,
    }


@pytest.mark.parametrize(
    ("is_alive", "status", "code"),
    [(True, 500, "execution_failed"), (False, 503, "engine_dead")],
)
async def test_failing_to_be_admitted(make_job, loop, is_alive, status, code):
    waiting = await admitting(make_job("a"), loop)
    loop.is_alive = is_alive
    loop.sinks["a"](Failed(at_s=1.0, message="no room"))
    with pytest.raises(ApiError, match="no room") as caught:
        await asyncio.wait_for(waiting, 5)
    assert (caught.value.status, caught.value.code) == (status, code)


async def test_failing_later(make_job, loop, ends):
    job = make_job("a")
    waiting = await admitting(job, loop)
    loop.sinks["a"](Accepted(at_s=1.0))
    loop.sinks["a"](token("x"))
    loop.sinks["a"](Failed(at_s=2.0, message="NaN"))
    await asyncio.wait_for(waiting, 5)
    updates = job.updates()
    assert (await anext(updates))[1].text == "x"
    with pytest.raises(ApiError, match="NaN"):
        await anext(updates)
    assert ends.outcomes == [("a", Outcome.ERROR)]


async def test_closing_twice_cancels_once_and_silences(make_job, loop, ends):
    job = make_job("a")
    waiting = await admitting(job, loop)
    loop.sinks["a"](Accepted(at_s=1.0))
    await asyncio.wait_for(waiting, 5)
    job.close()
    job.close()
    loop.sinks["a"](token("late"))
    await asyncio.sleep(0.01)
    assert loop.cancelled == ["a"]
    assert ends.outcomes == [("a", Outcome.ABORT)]
    assert job.timelines[0].ended_s == 9.0
    assert job.timelines[0].token_times_s == []


async def test_a_reader_that_does_not_keep_up_is_cancelled(make_job, loop, ends):
    job = make_job("a", max_pending=3)
    waiting = await admitting(job, loop)
    loop.sinks["a"](Accepted(at_s=1.0))
    await asyncio.wait_for(waiting, 5)
    for index in range(10):
        loop.sinks["a"](token(str(index)))
    await asyncio.sleep(0.01)
    assert loop.cancelled == ["a"]
    assert ends.outcomes == [("a", Outcome.ABORT)]
    texts = []
    with pytest.raises(ApiError) as caught:
        async for _, update in job.updates():
            texts.append(update.text)
    assert texts == ["0", "1", "2"]
    assert caught.value.code == "reader_too_slow"
