"""One device in virtual time: the scheduler that serves, and prices instead of kernels.

    arrive ─► scheduler ─► plan ─► end of the step at now + seconds(shape) ─► finish ─► plan …

Where the scheduler says that steps repeat, the device takes them in one jump and is back at the
end of the run, or of the step that runs when something arrives. Both ways give the same times.
"""

from collections.abc import Callable
from dataclasses import dataclass

from loadsheet.runtime.event_log import EventLogWriter
from loadsheet.sched.event import Arrived, Event, Rejection, StepFinished
from loadsheet.sched.plan import (
    EncoderBatch,
    StepKind,
    StepPlan,
    TextBatch,
    TextShape,
    Wait,
)
from loadsheet.sched.scheduler import Scheduler
from loadsheet.sched.steady import Steady
from loadsheet.sched.step_times import slowdown
from loadsheet.sim.adapter_shelf import AdapterShelf
from loadsheet.sim.decode_run import DecodeRun
from loadsheet.sim.record import Fate, Record
from loadsheet.sim.span import Span, SpanRecorder
from loadsheet.sim.step_prices import StepPrices
from loadsheet.sim.text_clock import TextClock
from loadsheet.sim.work_prices import WorkPrices
from loadsheet.workload.request import ImageRequest, Request

INFINITY = float("inf")
MIN_JUMP = 2  # a run of one step is a step

Noise = Callable[[StepPlan, float], float]
"""(plan, priced seconds) -> seconds that the step takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """`work` is what routers are told of requests; None prices them as the device does. Without
    `adapters` they are loaded at once. A `log`
    is written step by step, so it forbids jumps, as `noise` and several lanes do."""

    noise: Noise | None = None
    can_jump: bool = True
    work: WorkPrices | None = None
    adapters: AdapterShelf | None = None
    spans: SpanRecorder | None = None
    log: EventLogWriter | None = None


@dataclass(slots=True)
class _Running:
    plan: StepPlan
    start_s: float
    end_s: float


@dataclass(slots=True)
class _Jump:
    """`run.num_steps` steps of `steady` from `run.start_s` on."""

    steady: Steady
    run: DecodeRun


class SimDevice:
    """`next_s` is when it has to be advanced next; infinity when nothing runs.

    `work_s` is the predicted work of what is inside, each request priced alone when it came.
    """

    def __init__(
        self,
        name: str,
        new_scheduler: Callable[[], Scheduler],
        prices: StepPrices,
        options: DeviceOptions | None = None,
    ) -> None:
        self.name = name
        self.is_up = False  # whether requests may be sent here
        self.scheduler = new_scheduler()
        self.models = self.scheduler.limits.models
        self.work_s = 0.0
        self.next_s = INFINITY
        self.busy_s: dict[StepKind, float] = dict.fromkeys(StepKind, 0.0)
        self.last_end_s = 0.0  # of a request
        self.num_steps = 0
        self.num_decisions = 0
        self.clocks: dict[str, TextClock] = {}
        self._options = options or DeviceOptions()
        self._new_scheduler = new_scheduler
        self._prices = prices
        self._work = self._options.work or WorkPrices(prices)
        self._has_one_lane = self.scheduler.limits.num_lanes == 1
        self._can_jump = _can_jump(self._options) and self._has_one_lane
        self._running: list[_Running] = []
        self._jump: _Jump | None = None
        self._wake_s = INFINITY
        self._records: dict[str, Record] = {}

    def boarding_s(self, request: Request, now_s: float) -> float:
        """Seconds until the request's adapter is loaded here."""
        shelf = self._options.adapters
        if shelf is None or not isinstance(request, ImageRequest) or request.adapter is None:
            return 0.0
        return shelf.wait_s(request.adapter, now_s)

    @property
    def num_inside(self) -> int:
        """Requests accepted and not over."""
        return len(self._records)

    def arrive(self, record: Record, now_s: float) -> Rejection | None:
        """Offers a request. All that is due before `now_s` has been advanced."""
        self._settle(now_s)
        rejection = self._tell(Arrived(request=record.job.request), now_s)
        if rejection is None:
            record.device = self.name
            self._records[record.job.request.request_id] = record
            record.work_s = self._work.seconds(record.job)
            self.work_s += record.work_s
        self._dispatch(now_s)
        return rejection

    def settle(self, now_s: float) -> None:
        """Book what is over by now, so that whoever looks sees it. Changes no times."""
        self._settle(now_s)
        if self._jump is not None:
            self.next_s = self._jump.run.end_s(self._jump.run.num_steps)

    def die(self) -> list[Record]:
        """Lose everything inside; what was inside. The device is empty and fresh afterwards."""
        lost = list(self._records.values())
        self._records.clear()
        self._running.clear()
        self._jump = None
        self.work_s = 0.0
        self.next_s = self._wake_s = INFINITY
        for clock in self.clocks.values():
            clock.clear()
        if self._options.adapters is not None:
            self._options.adapters.clear()
        self.scheduler = self._new_scheduler()
        return lost

    def advance(self) -> list[Record]:
        """What happens at `next_s`; the requests that ended there."""
        now_s = self.next_s
        if self._jump is not None:
            over = self._end_jump()
        else:
            over = [record for step in self._due(now_s) for record in self._finish(step)]
        self._dispatch(now_s)
        return over

    def _due(self, now_s: float) -> list[_Running]:
        due = [step for step in self._running if step.end_s <= now_s]
        self._running = [step for step in self._running if step.end_s > now_s]
        return due

    def _settle(self, now_s: float) -> None:
        """Cut a jump at `now_s`: what is over is booked, the step in the middle is its last."""
        jump = self._jump
        if jump is None:
            return
        num_done = min(jump.run.num_done(now_s), jump.run.num_steps - 1)
        if num_done:
            self._book(jump, num_done, jump.run.end_s(num_done), ())
            jump.steady = jump.steady.after(num_done)
        jump.run = jump.run.only(num_done + 1)

    def _end_jump(self) -> list[Record]:
        jump, self._jump = self._jump, None
        assert jump is not None
        num_steps, end_s = jump.run.num_steps, self.next_s
        clock = self.clocks.get(jump.steady.model) if jump.steady.kind is StepKind.TEXT else None
        if clock is None:
            self._book(jump, num_steps, end_s, ())
            return []
        ended = clock.ended_after(num_steps)
        self._book(jump, num_steps, end_s, tuple(one.job.request.request_id for one in ended))
        return self._over(ended, end_s)

    def _book(self, jump: _Jump, num_steps: int, end_s: float, ended: tuple[str, ...]) -> None:
        steady, run = jump.steady, jump.run
        if isinstance(steady.shape, TextShape):
            streams = steady.shape.num_decodes
            clock = self.clocks[steady.model]
            clock.skip(num_steps, streams, run.first_s, run.growth_s, end_s)
        self.scheduler.skip(steady, num_steps, end_s, ended)
        self.busy_s[steady.kind] += end_s - run.start_s
        self.num_steps += num_steps
        if self._options.spans is not None:
            self._options.spans.add(_run_span(steady, run.start_s, end_s, num_steps))

    def _finish(self, step: _Running) -> list[Record]:
        plan, now_s = step.plan, step.end_s
        over: list[Record] = []
        ended: tuple[str, ...] = ()
        if isinstance(plan.batch, TextBatch):
            over = self._finish_text(plan, plan.batch, now_s)
            ended = tuple(record.job.request.request_id for record in over)
        elif plan.kind is StepKind.VAE_DECODE or isinstance(plan.batch, EncoderBatch):
            over = [self._records[request_id] for request_id in plan.request_ids()]
        duration_s = now_s - step.start_s
        finished = StepFinished(step_id=plan.step_id, duration_s=duration_s, ended=ended)
        self._tell(finished, now_s)
        self.busy_s[plan.kind] += duration_s
        self.num_steps += 1
        if self._options.spans is not None:
            self._options.spans.add(_step_span(plan, step.start_s, now_s))
        return self._over(over, now_s)

    def _tell(self, event: Event, now_s: float) -> Rejection | None:
        rejection = self.scheduler.on_event(event, now_s)
        if self._options.log is not None:
            self._options.log.record_event(event, now_s)
        return rejection

    def _finish_text(self, plan: StepPlan, batch: TextBatch, now_s: float) -> list[Record]:
        sampled = [self._records[one.request_id] for one in batch.chunks if one.is_last]
        return self._clock(plan.model).step(batch, sampled, now_s)

    def _over(self, records: list[Record], now_s: float) -> list[Record]:
        if records:
            self.last_end_s = now_s
        for record in records:
            record.end_s = now_s
            record.fate = Fate.SERVED
            del self._records[record.job.request.request_id]
            self.work_s -= record.work_s
        if not self._records:
            self.work_s = 0.0  # no drift
        return records

    def _dispatch(self, now_s: float) -> None:
        """Start what the scheduler wants at `now_s`, as one step or as a run of them."""
        self._wake_s = INFINITY
        if self._jump is None and not (self._can_jump and self._start_jump(now_s)):
            self._start_steps(now_s)
        if self._jump is not None:
            self.next_s = self._jump.run.end_s(self._jump.run.num_steps)
        elif self._has_one_lane:
            self.next_s = self._running[0].end_s if self._running else self._wake_s
        else:
            self.next_s = min([self._wake_s, *(step.end_s for step in self._running)])

    def _start_steps(self, now_s: float) -> None:
        while (plan := self.scheduler.plan(now_s)) is not None:
            if isinstance(plan, Wait):
                self._wake_s = plan.until_s
                return
            self.num_decisions += 1
            self._start(plan, now_s)
            if self._has_one_lane:
                return

    def _start(self, plan: StepPlan, start_s: float) -> None:
        seconds = self._prices.seconds(plan.kind, plan.model, plan.shape)
        if plan.share != 1.0:
            seconds *= slowdown(plan.share)
        if self._options.noise is not None:
            seconds = self._options.noise(plan, seconds)
        if self._options.log is not None:
            self._options.log.record_plan(plan, start_s)
        self._running.append(_Running(plan, start_s, start_s + seconds))

    def _start_jump(self, now_s: float) -> bool:
        if self._running or not self._records:
            return False
        steady = self.scheduler.steady(now_s, self._max_steps())
        if steady is None:
            return False
        run = self._run(steady, now_s)
        if run.num_steps < MIN_JUMP:
            return False
        self.num_decisions += 1
        self._jump = _Jump(steady, run)
        return True

    def _max_steps(self) -> int:
        """Steps in which certainly nobody ends: of text models, whoever is first."""
        return min((clock.steps_to_end() for clock in self.clocks.values()), default=1 << 40)

    def _run(self, steady: Steady, now_s: float) -> DecodeRun:
        shape = steady.shape
        if not isinstance(shape, TextShape):
            seconds = self._prices.seconds(steady.kind, steady.model, shape)
            return DecodeRun(now_s, seconds, 0.0, steady.max_steps)
        context, streams = shape.decode_context_tokens, shape.num_decodes
        tau0_s, kappa_s, valid_until = self._prices.decode_segment(steady.model, streams, context)
        num_steps = steady.max_steps
        if valid_until != INFINITY:
            num_steps = min(num_steps, int((valid_until - context) // streams) + 1)
        return DecodeRun(now_s, tau0_s + kappa_s * context, kappa_s * streams, num_steps)

    def _clock(self, model: str) -> TextClock:
        clock = self.clocks.get(model)
        if clock is None:
            clock = self.clocks[model] = TextClock()
        return clock


def _can_jump(options: DeviceOptions) -> bool:
    return options.can_jump and options.noise is None and options.log is None


def _run_span(steady: Steady, start_s: float, end_s: float, num_steps: int) -> Span:
    shape = steady.shape
    return Span(
        start_s=start_s,
        end_s=end_s,
        kind=steady.kind,
        model=steady.model,
        lane=0,
        num_steps=num_steps,
        batch=shape.num_decodes if isinstance(shape, TextShape) else shape.batch,
        images=steady.request_ids,
    )


def _step_span(plan: StepPlan, start_s: float, end_s: float) -> Span:
    shape = plan.shape
    is_text = isinstance(shape, TextShape)
    return Span(
        start_s=start_s,
        end_s=end_s,
        kind=plan.kind,
        model=plan.model,
        lane=plan.lane,
        num_steps=1,
        batch=shape.num_decodes if isinstance(shape, TextShape) else shape.batch,
        prefill_tokens=shape.prefill_tokens if isinstance(shape, TextShape) else 0,
        images=() if is_text else plan.request_ids(),
    )
