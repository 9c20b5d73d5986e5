"""Requests, limits and a virtual device for the scheduler's tests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from loadsheet.sched.event import Arrived, Event, Rejection, StepFinished
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import StepKind, StepPlan, StepShape, TextBatch
from loadsheet.sched.policies import POLICIES
from loadsheet.sched.scheduler import Scheduler
from loadsheet.workload.request import ImageRequest, Request, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO

Seconds = Callable[[StepKind, str, StepShape], float]


class ExactTimes:
    """Step times that are known: nothing to learn, no margin."""

    def __init__(self, seconds: Seconds) -> None:
        self._seconds = seconds

    def predict(self, kind, model, shape):
        return self._seconds(kind, model, shape)

    def observe(self, kind, model, shape, seconds):
        pass

    def at(self, share):
        return self

    def margin(self, kind):
        return 0.0


def text(
    request_id="t0",
    *,
    at=0.0,
    prompt=8,
    output=4,
    ttft=2.0,
    tpot=0.2,
    model="llm",
):
    return TextRequest(
        request_id=request_id,
        model=model,
        arrival_s=at,
        prompt_tokens=prompt,
        max_output_tokens=output,
        slo=TextSLO(ttft_s=ttft, tpot_s=tpot),
    )


def image(
    request_id="i0",
    *,
    at=0.0,
    size=64,
    steps=2,
    guided=False,
    deadline=20.0,
    model="painter",
):
    return ImageRequest(
        request_id=request_id,
        model=model,
        arrival_s=at,
        width=size,
        height=size,
        num_steps=steps,
        is_guided=guided,
        slo=ImageSLO(deadline_s=deadline),
    )


def text_limits(**changes):
    defaults = {"model": "llm", "num_blocks": 64, "block_tokens": 4, "max_num_seqs": 8}
    return TextLimits(**(defaults | changes))


def image_limits(**changes):
    sizes = (
        ImageSize(width=64, height=64, state_bytes=100),
        ImageSize(width=128, height=128, state_bytes=400),
    )
    defaults = {"model": "painter", "sizes": sizes, "budget_bytes": 800, "max_batch": 4}
    return ImageLimits(**(defaults | changes))


def device_limits(**changes):
    return DeviceLimits(**({"text": (text_limits(),), "images": (image_limits(),)} | changes))


@dataclass
class Run:
    """What a simulated run produced; times are virtual seconds."""

    plans: list[tuple[float, StepPlan]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    tokens_s: dict[str, list[float]] = field(default_factory=dict)
    images_s: dict[str, float] = field(default_factory=dict)

    def ttft_s(self, request: TextRequest) -> float:
        return self.tokens_s[request.request_id][0] - request.arrival_s

    def tpot_s(self, request: TextRequest) -> float:
        tokens_s = self.tokens_s[request.request_id]
        return (tokens_s[-1] - tokens_s[0]) / max(1, len(tokens_s) - 1)


class Device:
    """A scheduler with one lane in virtual time; text ends after `outputs[id]` tokens."""

    def __init__(self, scheduler: Scheduler, seconds: Seconds) -> None:
        self.scheduler = scheduler
        self.seconds = seconds
        self.now_s = 0.0
        self.run = Run()
        self.outputs: dict[str, int] = {}

    def tell(self, event: Event) -> Rejection | None:
        return self.scheduler.on_event(event, self.now_s)

    def arrive(self, request: Request) -> None:
        rejection = self.scheduler.on_event(Arrived(request=request), self.now_s)
        if rejection is not None:
            self.run.rejections.append(rejection)

    def step(self) -> StepPlan | None:
        """Run one step to its end."""
        plan = self.scheduler.plan(self.now_s)
        if plan is None:
            return None
        assert isinstance(plan, StepPlan)
        self.run.plans.append((self.now_s, plan))
        self.finish(plan)
        return plan

    def finish(self, plan: StepPlan, ended: tuple[str, ...] = ()) -> None:
        duration_s = self.seconds(plan.kind, plan.model, plan.shape)
        self.now_s += duration_s
        ended += tuple(self._emit(plan))
        self.tell(StepFinished(step_id=plan.step_id, duration_s=duration_s, ended=ended))

    def play(self, requests: Iterable[Request], outputs: dict[str, int] | None = None) -> Run:
        """Run to the end of all requests; they arrive on time, also during a step."""
        self.outputs = outputs or {}
        todo = sorted(requests, key=lambda request: request.arrival_s)
        while True:
            while todo and todo[0].arrival_s <= self.now_s:
                self.arrive(todo.pop(0))
            plan = self.scheduler.plan(self.now_s)
            if plan is None:
                if not todo:
                    return self.run
                self.now_s = todo[0].arrival_s
                continue
            assert isinstance(plan, StepPlan)
            self.run.plans.append((self.now_s, plan))
            end_s = self.now_s + self.seconds(plan.kind, plan.model, plan.shape)
            while todo and todo[0].arrival_s < end_s:
                self.now_s = todo[0].arrival_s
                self.arrive(todo.pop(0))
            self.now_s = end_s - self.seconds(plan.kind, plan.model, plan.shape)
            self.finish(plan)

    def _emit(self, plan: StepPlan) -> list[str]:
        if plan.kind is StepKind.VAE_DECODE:
            self.run.images_s |= dict.fromkeys(plan.request_ids(), self.now_s)
        if not isinstance(plan.batch, TextBatch):
            return []
        sampled = [chunk.request_id for chunk in plan.batch.chunks if chunk.is_last]
        ended = []
        for request_id in (*plan.batch.decodes, *sampled):
            tokens_s = self.run.tokens_s.setdefault(request_id, [])
            tokens_s.append(self.now_s)
            if len(tokens_s) == self.outputs.get(request_id):
                ended.append(request_id)
        return ended


def flat_seconds(kind, model, shape):
    """10 ms per text iteration plus 1 ms per prompt token; 50 ms per image step of any batch."""
    if kind is StepKind.TEXT:
        return 0.010 + 0.001 * shape.prefill_tokens
    return 0.050


@pytest.fixture
def make():
    """The builders of this file by name: `make.text("a", prompt=3)`."""

    class Make:
        pass

    made = Make()
    made.text, made.image = text, image
    made.text_limits, made.image_limits, made.device_limits = (
        text_limits,
        image_limits,
        device_limits,
    )
    made.exact = ExactTimes
    return made


@pytest.fixture
def make_device():
    """`make_device("slack", limits, seconds)`: a scheduler with exact times in virtual time."""

    def build(policy="slack", limits=None, seconds=flat_seconds) -> Device:
        limits = limits or device_limits()
        return Device(Scheduler(limits, POLICIES[policy](), ExactTimes(seconds)), seconds)

    return build
