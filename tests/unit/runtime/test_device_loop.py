"""The loop with the real scheduler and a scripted executor: order, ends, failures, cancels."""

import queue
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.event_log import EventLogWriter
from loadsheet.runtime.executor import (
    FailedOutput,
    FinishReason,
    ImageOutput,
    StepResult,
    TextOutput,
)
from loadsheet.runtime.payload import ImagePayload, TextPayload
from loadsheet.runtime.replay import replay
from loadsheet.runtime.update import Accepted, Failed, Image, Progress, Rejected, Started, Token
from loadsheet.sched.event import RejectReason
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import StepKind, TextBatch
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import ImageRequest, TextRequest

PATIENCE_S = 20.0
LIMITS = DeviceLimits(
    text=(TextLimits(model="talker", num_blocks=64, max_waiting=4),),
    images=(
        ImageLimits(
            model="painter",
            sizes=(ImageSize(width=64, height=64, state_bytes=100),),
            budget_bytes=400,
        ),
    ),
)


class ScriptedExecutor:
    """Emits token 7 until the payload's length; black images; holds and fails when told to."""

    def __init__(self) -> None:
        self.payloads: dict[str, TextPayload | ImagePayload] = {}
        self.emitted: dict[str, int] = {}
        self.released: list[str] = []
        self.raise_for: set[str] = set()
        self.fail_only: set[str] = set()
        self.refuse_admit = False
        self.gate = threading.Event()
        self.gate.set()
        self.is_running = threading.Event()

    def admit(self, request, payload):
        if self.refuse_admit:
            raise RuntimeError("no room in the engine")
        self.payloads[request.request_id] = payload
        self.emitted[request.request_id] = 0

    def release(self, request_id):
        del self.payloads[request_id]
        self.released.append(request_id)

    def run(self, plan):
        self.is_running.set()
        assert self.gate.wait(PATIENCE_S)
        if self.raise_for & set(plan.request_ids()):
            raise RuntimeError("kernel fell over")
        return StepResult(duration_s=1e-4, outputs=tuple(self._outputs(plan)))

    def _outputs(self, plan):
        failing = [one for one in plan.request_ids() if one in self.fail_only]
        yield from (FailedOutput(request_id=one, message="NaN in logits") for one in failing)
        if isinstance(plan.batch, TextBatch):
            sampled = plan.batch.decodes + tuple(
                chunk.request_id for chunk in plan.batch.chunks if chunk.is_last
            )
            yield from (self._token(one) for one in sampled if one not in failing)
        elif plan.kind is StepKind.VAE_DECODE:
            black = np.zeros((64, 64, 3), dtype=np.uint8)
            for one in plan.request_ids():
                yield ImageOutput(request_id=one, pixels_HWC=black)

    def _token(self, request_id):
        self.emitted[request_id] += 1
        is_over = self.emitted[request_id] == self.payloads[request_id].max_output_tokens
        reason = FinishReason.LENGTH if is_over else None
        return TextOutput(request_id=request_id, token_id=7, text="a", finish_reason=reason)


class Box:
    """A sink that collects updates and lets a test wait for the one it needs."""

    def __init__(self) -> None:
        self.updates: queue.SimpleQueue = queue.SimpleQueue()
        self.seen: list = []

    def __call__(self, update):
        self.updates.put(update)

    def until(self, kind):
        while True:
            update = self.updates.get(timeout=PATIENCE_S)
            self.seen.append(update)
            if isinstance(update, kind):
                return update

    def until_end(self):
        while True:
            update = self.until((Token, Image, Failed, Rejected))
            if not isinstance(update, Token) or update.finish_reason is not None:
                return update

    def kinds(self):
        return [type(update).__name__ for update in self.seen]


@pytest.fixture
def executor() -> ScriptedExecutor:
    return ScriptedExecutor()


@pytest.fixture
def loop(executor) -> Iterator[DeviceLoop]:
    loop = DeviceLoop(make_scheduler(LIMITS, "slack"), executor, MonotonicClock())
    loop.start()
    yield loop
    executor.gate.set()
    loop.stop()


def submit_text(loop, request_id="t0", prompt_tokens=5, output_tokens=3) -> Box:
    box = Box()
    request = TextRequest(
        request_id=request_id,
        model="talker",
        arrival_s=loop.now_s(),
        prompt_tokens=prompt_tokens,
        max_output_tokens=output_tokens,
    )
    payload = TextPayload(prompt_ids=(1,) * prompt_tokens, max_output_tokens=output_tokens)
    loop.submit(request, payload, box)
    return box


def submit_image(loop, request_id="i0", num_steps=3) -> Box:
    box = Box()
    request = ImageRequest(
        request_id=request_id,
        model="painter",
        arrival_s=loop.now_s(),
        width=64,
        height=64,
        num_steps=num_steps,
        is_guided=True,
    )
    payload = ImagePayload(
        prompt="cat", width=64, height=64, num_steps=num_steps, guidance_scale=3.0, seed=1
    )
    loop.submit(request, payload, box)
    return box


def test_a_text_request_is_accepted_started_and_told_each_token(loop, executor):
    box = submit_text(loop, output_tokens=3)
    last = box.until_end()
    assert box.kinds() == ["Accepted", "Started", "Token", "Token", "Token"]
    assert last.finish_reason is FinishReason.LENGTH
    assert [token.text for token in box.seen[2:]] == ["a", "a", "a"]
    assert loop.wait_idle(PATIENCE_S)
    assert executor.released == ["t0"]


def test_an_image_request_reports_each_denoise_step_and_then_its_pixels(loop, executor):
    box = submit_image(loop, num_steps=3)
    image = box.until_end()
    assert box.kinds() == ["Accepted", "Started", "Progress", "Progress", "Progress", "Image"]
    steps = [update.step_idx for update in box.seen if isinstance(update, Progress)]
    assert steps == [0, 1, 2]
    assert image.pixels_HWC.shape == (64, 64, 3)
    assert loop.wait_idle(PATIENCE_S)
    assert executor.released == ["i0"]


def test_times_of_a_request_never_go_back(loop):
    box = submit_image(loop)
    box.until_end()
    times = [update.at_s for update in box.seen]
    assert times == sorted(times)


def test_text_and_images_share_the_device(loop):
    image, text = submit_image(loop, num_steps=8), submit_text(loop, output_tokens=8)
    assert isinstance(image.until_end(), Image)
    assert text.until_end().finish_reason is FinishReason.LENGTH
    steps = loop.snapshot().steps_by_kind
    assert steps["denoise"] == 8
    assert steps["encode"] == steps["vae_decode"] == 1
    assert steps["text"] >= 8


def test_a_refusal_reaches_the_waiter_with_its_reason(loop, executor):
    box = submit_text(loop, prompt_tokens=10_000)
    rejection = box.until(Rejected).rejection
    assert rejection.reason is RejectReason.TOO_LARGE
    assert executor.payloads == {}


def test_admission_is_answered_while_a_step_runs(loop, executor):
    executor.gate.clear()
    submit_text(loop, "busy")
    assert executor.is_running.wait(PATIENCE_S)
    submit_text(loop, "late").until(Accepted)  # the gate is still closed
    executor.gate.set()


def test_a_raising_step_fails_its_requests_and_the_loop_goes_on(loop, executor):
    executor.raise_for = {"bad"}
    assert "kernel fell over" in submit_text(loop, "bad").until(Failed).message
    assert submit_text(loop, "good").until_end().finish_reason is FinishReason.LENGTH
    assert loop.wait_idle(PATIENCE_S)
    assert sorted(executor.released) == ["bad", "good"]


def test_one_failed_row_leaves_the_others_of_its_batch_alone(loop, executor):
    executor.gate.clear()
    executor.fail_only = {"bad"}
    first = submit_text(loop, "first")  # holds the lane, so that the next two share a step
    assert executor.is_running.wait(PATIENCE_S)
    bad, good = submit_text(loop, "bad"), submit_text(loop, "good")
    executor.gate.set()
    assert bad.until(Failed).message == "NaN in logits"
    assert good.until_end().finish_reason is FinishReason.LENGTH
    assert first.until_end().finish_reason is FinishReason.LENGTH


def test_a_failing_image_step_ends_the_image(loop, executor):
    executor.raise_for = {"i0"}
    assert "RuntimeError" in submit_image(loop).until(Failed).message
    assert loop.wait_idle(PATIENCE_S)
    [images] = loop.snapshot().scheduler.images
    assert images.used_bytes == 0
    executor.raise_for = set()
    assert isinstance(submit_image(loop, "i1").until_end(), Image)


def test_an_engine_that_cannot_admit_fails_the_request_only(loop, executor):
    executor.refuse_admit = True
    assert "no room in the engine" in submit_text(loop, "a").until(Failed).message
    executor.refuse_admit = False
    assert submit_text(loop, "b").until_end().finish_reason is FinishReason.LENGTH


def test_a_cancelled_request_is_released_and_told_nothing_more(loop, executor):
    executor.gate.clear()
    box = submit_text(loop, "gone", output_tokens=50)
    box.until(Started)
    loop.cancel("gone")
    loop.cancel("gone")  # twice is once
    loop.cancel("never-seen")
    submit_text(loop, "other").until(Accepted)  # the cancel has been handled by now
    assert executor.released == []  # not while its step runs
    executor.gate.set()
    assert loop.wait_idle(PATIENCE_S)
    assert sorted(executor.released) == ["gone", "other"]
    assert box.updates.empty()


def test_a_waiting_request_can_be_cancelled_at_once(loop, executor):
    executor.gate.clear()
    submit_text(loop, "busy")
    assert executor.is_running.wait(PATIENCE_S)
    submit_text(loop, "waiting").until(Accepted)
    loop.cancel("waiting")
    submit_text(loop, "probe").until(Accepted)
    assert executor.released == ["waiting"]
    executor.gate.set()


def test_a_sink_that_raises_loses_its_request_and_nobody_elses(loop, executor):
    request = TextRequest(
        request_id="rude", model="talker", arrival_s=0.0, prompt_tokens=2, max_output_tokens=50
    )

    def rude(update):
        raise ValueError("reader bug")

    loop.submit(request, TextPayload(prompt_ids=(1, 2), max_output_tokens=50), rude)
    assert submit_text(loop, "polite").until_end().finish_reason is FinishReason.LENGTH
    assert loop.wait_idle(PATIENCE_S)
    assert executor.emitted["rude"] < 50


def test_a_request_id_in_use_is_refused(loop, executor):
    executor.gate.clear()
    submit_text(loop, "same").until(Accepted)
    assert "already in use" in submit_text(loop, "same").until(Failed).message
    executor.gate.set()


def test_draining_refuses_new_work_and_finishes_the_old(loop, executor):
    executor.gate.clear()
    old = submit_text(loop, "old")
    old.until(Started)
    loop.drain()
    assert submit_text(loop, "new").until(Rejected).rejection.reason is RejectReason.DRAINING
    assert loop.snapshot().is_draining
    assert not loop.wait_idle(0.01)
    executor.gate.set()
    assert old.until_end().finish_reason is FinishReason.LENGTH
    assert loop.wait_idle(PATIENCE_S)


def test_stopping_fails_what_is_left_and_refuses_what_comes(executor):
    loop = DeviceLoop(make_scheduler(LIMITS, "slack"), executor, MonotonicClock())
    loop.start()
    executor.gate.clear()
    box = submit_text(loop, "left", output_tokens=50)
    box.until(Started)
    stopper = threading.Thread(target=loop.stop)
    stopper.start()
    executor.gate.set()
    stopper.join(PATIENCE_S)
    assert not stopper.is_alive()
    assert "shutting down" in box.until(Failed).message
    assert not loop.snapshot().is_alive
    assert "has ended" in submit_text(loop, "later").until(Failed).message


def test_a_dead_loop_says_so_and_fails_everybody(executor):
    scheduler = make_scheduler(LIMITS, "slack")
    loop = DeviceLoop(scheduler, executor, MonotonicClock())
    loop.start()
    executor.gate.clear()
    box = submit_text(loop, "victim")
    box.until(Started)

    def broken(event, now_s):
        raise KeyError("scheduler bug")

    scheduler.on_event = broken
    executor.gate.set()
    assert "loop died" in box.until(Failed).message
    assert not loop.snapshot().is_alive


def test_a_logged_run_replays_to_the_same_plans(executor, tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLogWriter(path, LIMITS, "slack") as log:
        loop = DeviceLoop(
            make_scheduler(LIMITS, "slack"), executor, MonotonicClock(), event_log=log
        )
        loop.start()
        boxes = [submit_text(loop, f"t{i}", output_tokens=5 + i) for i in range(3)]
        boxes += [submit_image(loop, f"i{i}", num_steps=4) for i in range(2)]
        submit_text(loop, "gone", output_tokens=500).until(Started)
        loop.cancel("gone")
        for box in boxes:
            box.until_end()
        loop.drain()
        loop.stop()
    assert sum(line.count('"type":"plan"') for line in path.read_text().splitlines()) > 10
    assert replay(path) == []
