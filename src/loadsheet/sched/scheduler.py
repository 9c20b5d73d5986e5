"""The step scheduler: told events, asked for plans. Pure, so that a replay decides the same.

    on_event(Arrived | Cancelled | StepFinished) ──► groups (queues, blocks, bytes)
    plan() ──► policy.choose(groups) ──► StepPlan for a free lane

It owns the state, the bounds and the building of plans; a policy only names the next step. Time is
an argument and must not go back.
"""

from collections.abc import Sequence

from loadsheet.errors import ExecutorError
from loadsheet.sched.admission import (
    refuse_draining,
    refuse_duplicate,
    refuse_forever,
    refuse_full,
)
from loadsheet.sched.encoder_group import EncoderGroup
from loadsheet.sched.event import Arrived, Cancelled, Event, Rejection, StepFinished
from loadsheet.sched.image_group import ImageGroup
from loadsheet.sched.lane_rule import WHOLE, LaneRule, view
from loadsheet.sched.limits import DeviceLimits
from loadsheet.sched.plan import (
    EncoderBatch,
    ImageBatch,
    StepKind,
    StepPlan,
    StepShape,
    TextBatch,
    Wait,
)
from loadsheet.sched.policy import (
    DeviceState,
    EncoderChoice,
    ImageChoice,
    Policy,
    TextChoice,
    WaitUntil,
)
from loadsheet.sched.snapshot import EncoderCounts, ImageCounts, Snapshot, TextCounts
from loadsheet.sched.steady import Steady
from loadsheet.sched.step_times import StepTimes
from loadsheet.sched.text_group import TextGroup
from loadsheet.sched.work_ahead import work_ahead_s
from loadsheet.workload.request import EncodeRequest, ImageRequest, Request, TextRequest

__all__ = ["Scheduler", "Snapshot"]

Group = TextGroup | ImageGroup | EncoderGroup
StepChoice = TextChoice | ImageChoice | EncoderChoice


class Scheduler:
    def __init__(self, limits: DeviceLimits, policy: Policy, step_times: StepTimes) -> None:
        self._limits = limits
        self._policy = policy
        self._times = step_times
        self._text = {one.model: TextGroup(one) for one in limits.text}
        self._images = {one.model: ImageGroup(one) for one in limits.images}
        self._encoders = {one.model: EncoderGroup(one) for one in limits.encoders}
        self._state = DeviceState(
            text=tuple(self._text.values()),
            images=tuple(self._images.values()),
            encoders=tuple(self._encoders.values()),
            times=step_times,
        )
        self._groups: dict[str, Group] = {}  # by accepted request
        self._lanes: list[StepPlan | None] = [None] * limits.num_lanes
        self._lane_rule = LaneRule()
        self._num_accepted = 0
        self._num_steps = 0
        self._now_s = float("-inf")
        self._is_draining = False

    @property
    def limits(self) -> DeviceLimits:
        return self._limits

    def on_event(self, event: Event, now_s: float) -> Rejection | None:
        """Takes note of an event; only an arrival can be refused."""
        self._advance(now_s)
        if isinstance(event, StepFinished):
            self._finish(event, now_s)
        elif isinstance(event, Arrived):
            return self._accept(event.request)
        else:
            self._cancel(event)
        return None

    def plan(self, now_s: float) -> StepPlan | Wait | None:
        """The next step for a free lane, marked as running until its StepFinished; or a time to
        wait until; or None when every lane is busy or nothing can run."""
        self._advance(now_s)
        if len(self._lanes) > 1:
            return self._plan_lanes(now_s)
        if self._lanes[0] is not None:
            return None
        choice = self._policy.choose(self._state, now_s)
        if isinstance(choice, WaitUntil):
            return Wait(until_s=choice.until_s)
        return None if choice is None else self._start(choice, 0, WHOLE)

    def steady(self, now_s: float, max_steps: int) -> Steady | None:
        """What `plan` would return now and at each boundary, if that is certain for a while.

        The caller knows that nothing arrives, is cancelled or ends within `max_steps` steps. Needs
        a free device, and step times that do not learn: those would change decisions on the way.
        """
        self._advance(now_s)
        if self._times.is_learning or any(plan is not None for plan in self._lanes):
            return None
        found = self._policy.steady(self._state, now_s, max_steps)
        if found is None:
            return None
        choice, max_steps = found
        if isinstance(choice, TextChoice):
            shape: StepShape = self._text[choice.model].shape(0, 0)
            return Steady(StepKind.TEXT, choice.model, (), shape, max_steps)
        assert isinstance(choice, ImageChoice), "waiting does not repeat"
        group = self._images[choice.model]
        shape = group.step_shape(choice.request_ids)
        max_steps = min(max_steps, group.min_steps_left(choice.request_ids))
        return Steady(choice.kind, choice.model, choice.request_ids, shape, max_steps)

    def skip(self, steady: Steady, num_steps: int, now_s: float, ended: Sequence[str] = ()) -> None:
        """`num_steps` of `steady` ran, the last until `now_s`; `ended` gave their last token."""
        self._advance(now_s)
        assert 0 < num_steps <= steady.max_steps, f"{num_steps} of {steady.max_steps} steps"
        self._num_steps += num_steps
        if steady.kind is not StepKind.TEXT:
            self._images[steady.model].skip(steady.request_ids, num_steps)
            return
        for request_id in self._text[steady.model].skip(num_steps, ended, now_s):
            del self._groups[request_id]

    def drain(self) -> None:
        """Refuse arrivals from now on; what was accepted is finished."""
        self._is_draining = True

    def snapshot(self) -> Snapshot:
        return Snapshot(
            text=tuple(_text_counts(group) for group in self._state.text),
            images=tuple(_image_counts(group) for group in self._state.images),
            encoders=tuple(_encoder_counts(group) for group in self._state.encoders),
            lanes=tuple(self._lanes),
            is_draining=self._is_draining,
        )

    def check_integrity(self) -> None:
        """The books of all groups balance. For tests and idle moments: O(requests + blocks)."""
        state = self._state
        groups: list[Group] = [*state.text, *state.images, *state.encoders]
        for group in groups:
            group.check_integrity()
        num_inside = sum(group.num_started + group.num_waiting for group in groups)
        assert num_inside == len(self._groups), "a request is lost"

    def _advance(self, now_s: float) -> None:
        if now_s < self._now_s:
            raise ValueError(f"time went back from {self._now_s} s to {now_s} s")
        self._now_s = now_s

    def _accept(self, request: Request) -> Rejection | None:
        if self._is_draining:
            return refuse_draining(request)
        if request.request_id in self._groups:
            return refuse_duplicate(request)
        if (refusal := refuse_forever(request, self._limits)) is not None:
            return refusal
        if isinstance(request, TextRequest):
            return self._queue_text(request)
        if isinstance(request, EncodeRequest):
            return self._queue_encode(request)
        return self._queue_image(request)

    def _queue_text(self, request: TextRequest) -> Rejection | None:
        group = self._text[request.model]
        if group.num_waiting == group.limits.max_waiting:
            return self._refuse_full(request, group)
        group.add(request, self._next_order(request, group))
        return None

    def _queue_image(self, request: ImageRequest) -> Rejection | None:
        group = self._images[request.model]
        if group.num_waiting == group.limits.max_waiting:
            return self._refuse_full(request, group)
        group.add(request, self._next_order(request, group))
        return None

    def _queue_encode(self, request: EncodeRequest) -> Rejection | None:
        group = self._encoders[request.model]
        if group.num_waiting == group.limits.max_waiting:
            return self._refuse_full(request, group)
        group.add(request, self._next_order(request, group))
        return None

    def _refuse_full(self, request: Request, group: Group) -> Rejection:
        retry_after_s = work_ahead_s(self._state) / group.num_waiting
        return refuse_full(request, group.num_waiting, retry_after_s)

    def _next_order(self, request: Request, group: Group) -> int:
        self._groups[request.request_id] = group
        self._num_accepted += 1
        return self._num_accepted

    def _cancel(self, event: Cancelled) -> None:
        """Unknown ids are no error: the request may have ended while the news travelled."""
        group = self._groups.get(event.request_id)
        if group is not None and group.cancel(event.request_id):
            del self._groups[event.request_id]

    def _finish(self, event: StepFinished, now_s: float) -> None:
        plan = self._leave_lane(event.step_id)
        times = self._times.at(plan.share)
        times.observe(plan.kind, plan.model, plan.shape, event.duration_s)
        if isinstance(plan.batch, TextBatch):
            left = self._text[plan.model].finish_step(plan.batch, event.ended, now_s)
        elif isinstance(plan.batch, EncoderBatch):
            left = self._encoders[plan.model].finish_step(plan.batch)
        else:
            left = self._images[plan.model].finish_step(plan.batch, event.ended)
        for request_id in left:
            del self._groups[request_id]
        for request_id in event.ended:  # a request may also fail outside its step
            self._cancel(Cancelled(request_id=request_id))

    def _plan_lanes(self, now_s: float) -> StepPlan | Wait | None:
        """For the first lane that may start a step and whose class has one."""
        waits_s: list[float] = []
        for lane in range(len(self._lanes)):
            share = self._lane_rule.share(lane, self._lanes, self._state)
            if share is None:
                continue
            choice = self._policy.choose(view(self._state, lane, share), now_s)
            if isinstance(choice, WaitUntil):
                waits_s.append(choice.until_s)
            elif choice is not None:
                self._lane_rule.note(lane, self._state)
                return self._start(choice, lane, share)
        return Wait(until_s=min(waits_s)) if waits_s else None

    def _start(self, choice: StepChoice, lane: int, share: float) -> StepPlan:
        plan = self._build(choice, lane, share)
        self._lanes[lane] = plan
        return plan

    def _leave_lane(self, step_id: int) -> StepPlan:
        for lane, plan in enumerate(self._lanes):
            if plan is not None and plan.step_id == step_id:
                self._lanes[lane] = None
                return plan
        raise ExecutorError(f"step {step_id} finished but is not running")

    def _build(self, choice: StepChoice, lane: int, share: float) -> StepPlan:
        batch: TextBatch | ImageBatch | EncoderBatch
        shape: StepShape
        if isinstance(choice, TextChoice):
            kind = StepKind.TEXT
            batch, shape = self._text[choice.model].start_step(choice.chunk_tokens)
        elif isinstance(choice, EncoderChoice):
            kind = StepKind.ENCODE
            batch, shape = self._encoders[choice.model].start_step(choice.request_ids)
        else:
            kind = choice.kind
            batch, shape = self._images[choice.model].start_step(choice.request_ids)
        self._num_steps += 1
        return StepPlan(
            step_id=self._num_steps,
            kind=kind,
            model=choice.model,
            lane=lane,
            batch=batch,
            shape=shape,
            predicted_s=self._times.at(share).predict(kind, choice.model, shape),
            share=share,
        )


def _text_counts(group: TextGroup) -> TextCounts:
    return TextCounts(
        model=group.model,
        num_running=group.num_started,
        num_waiting=group.num_waiting,
        used_blocks=group.pool.num_granted,
        total_blocks=group.pool.num_blocks,
    )


def _image_counts(group: ImageGroup) -> ImageCounts:
    return ImageCounts(
        model=group.model,
        num_running=group.num_started,
        num_waiting=group.num_waiting,
        used_bytes=group.used_bytes,
        total_bytes=group.limits.budget_bytes,
    )


def _encoder_counts(group: EncoderGroup) -> EncoderCounts:
    return EncoderCounts(
        model=group.model, num_running=group.num_started, num_waiting=group.num_waiting
    )
