"""Random life of a scheduler, checked against a model that keeps its own books."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from loadsheet.sched.encoder_turn import TURNS
from loadsheet.sched.event import Arrived, Cancelled, Event, RejectReason, StepFinished
from loadsheet.sched.limits import (
    DeviceLimits,
    EncoderLimits,
    ImageLimits,
    ImageSize,
    TextLimits,
)
from loadsheet.sched.plan import EncoderBatch, ImageBatch, StepKind, StepPlan, TextBatch
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import EncodeRequest, ImageRequest, Request, TextRequest
from loadsheet.workload.slo import EncodeSLO, ImageSLO, TextSLO

SIZES = (
    ImageSize(width=64, height=64, state_bytes=100),
    ImageSize(width=64, height=128, state_bytes=250),
)
TEXT = {
    "llm": TextLimits(
        model="llm",
        num_blocks=12,
        block_tokens=4,
        max_context_tokens=40,
        max_num_seqs=3,
        max_waiting=4,
        max_chunk_tokens=6,
    ),
    "small": TextLimits(
        model="small", num_blocks=5, block_tokens=3, max_context_tokens=40, max_chunk_tokens=50
    ),
}
IMAGES = {
    "painter": ImageLimits(
        model="painter", sizes=SIZES, budget_bytes=400, max_batch=2, max_waiting=3, max_steps=5
    ),
    "sketcher": ImageLimits(model="sketcher", sizes=SIZES[:1], budget_bytes=99),  # fits nothing
}
ENCODERS = {
    "reader": EncoderLimits(
        model="reader", max_tokens=9, max_batch=3, max_batch_tokens=20, max_waiting=5
    ),
    "tuned": EncoderLimits(model="tuned", max_tokens=9, max_batch_tokens=9),
}
MAX_TEXT_RUN = 33  # text iterations in a row while an image waits: the patience of SLACK, plus one

names = st.text("abcd", min_size=1, max_size=2)  # few, so that ids collide
seconds = st.floats(1e-3, 3.0)
times = st.one_of(st.just(0.0), st.floats(0.0, 2.0))


@dataclass
class Live:
    """A request as the model sees it."""

    request: Request
    tokens: int = 0  # prompt tokens done, then generated tokens
    prefilled: int = 0
    steps: list[StepKind] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    is_cancelled: bool = False
    is_failed: bool = False


class SchedulerMachine(RuleBasedStateMachine):
    policy = "slack"

    @initialize(num_lanes=st.sampled_from([1, 1, 2]))
    def start(self, num_lanes):
        self.limits = DeviceLimits(
            text=tuple(TEXT.values()),
            images=tuple(IMAGES.values()),
            encoders=tuple(ENCODERS.values()),
            num_lanes=num_lanes,
        )
        self.scheduler = make_scheduler(self.limits, self.policy)
        self.now_s = 0.0
        self.live: dict[str, Live] = {}
        self.running: dict[int, StepPlan] = {}
        self.last_decodes: dict[str, tuple[str, ...]] = {}
        self.text_run = 0
        self.run_without_encoder = self.run_of_encoders = 0
        self.is_draining = False
        self.history: list[tuple[float, Event | StepPlan | None]] = []

    # what happens to a scheduler

    @rule(
        name=names,
        model=st.sampled_from(["llm", "llm", "small", "nobody"]),
        prompt=st.one_of(st.integers(1, 14), st.integers(0, 50)),
        output=st.one_of(st.integers(1, 9), st.integers(0, 20)),
        ttft=seconds,
        tpot=seconds,
    )
    def text_arrives(self, name, model, prompt, output, ttft, tpot):
        request = TextRequest(
            request_id=name,
            model=model,
            arrival_s=self.now_s,
            prompt_tokens=prompt,
            max_output_tokens=output,
            slo=TextSLO(ttft_s=ttft, tpot_s=tpot),
        )
        reason = self._arrive(request)
        if reason in (None, RejectReason.QUEUE_FULL):
            limits = TEXT[model]
            needed = -(-(prompt + output) // limits.block_tokens)
            assert prompt and output and needed <= limits.num_blocks
            assert prompt + output <= limits.max_context_tokens

    @rule(
        name=names,
        model=st.sampled_from(["painter", "painter", "painter", "sketcher"]),
        size=st.sampled_from([(64, 64), (64, 128), (64, 128), (1, 1)]),
        num_steps=st.one_of(st.integers(1, 4), st.integers(0, 6)),
        is_guided=st.booleans(),
        deadline=seconds,
    )
    def image_arrives(self, name, model, size, num_steps, is_guided, deadline):
        request = ImageRequest(
            request_id=name,
            model=model,
            arrival_s=self.now_s,
            width=size[0],
            height=size[1],
            num_steps=num_steps,
            is_guided=is_guided,
            slo=ImageSLO(deadline_s=deadline),
        )
        reason = self._arrive(request)
        if reason in (None, RejectReason.QUEUE_FULL):
            assert model == "painter" and 1 <= num_steps <= 5 and size != (1, 1)

    @rule(
        name=names,
        model=st.sampled_from(["reader", "reader", "tuned", "nobody"]),
        num_tokens=st.one_of(st.integers(1, 9), st.integers(0, 12)),
        deadline=seconds,
    )
    def text_to_encode_arrives(self, name, model, num_tokens, deadline):
        request = EncodeRequest(
            request_id=name,
            model=model,
            arrival_s=self.now_s,
            num_tokens=num_tokens,
            slo=EncodeSLO(deadline_s=deadline),
        )
        reason = self._arrive(request)
        if reason in (None, RejectReason.QUEUE_FULL):
            assert model in ENCODERS and 1 <= num_tokens <= 9

    def _arrive(self, request):
        rejection = self._tell(Arrived(request=request))
        if rejection is None:
            assert request.request_id not in self.live
            assert not self.is_draining
            self.live[request.request_id] = Live(request)
            return None
        assert rejection.request_id == request.request_id
        assert (rejection.reason is RejectReason.QUEUE_FULL) == (
            rejection.retry_after_s is not None and rejection.retry_after_s > 0
        )
        if request.request_id in self.live and not self.is_draining:
            assert rejection.reason is RejectReason.INVALID
        return rejection.reason

    @rule(data=st.data())
    def cancel(self, data):
        name = data.draw(st.sampled_from([*sorted(self.live), "nobody"]))
        self._tell(Cancelled(request_id=name))
        if name in self.live:
            self.live[name].is_cancelled = True
            if not self._is_in_step(name):
                del self.live[name]

    @rule()
    def plan(self):
        self._plan()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), duration_s=seconds)
    def finish(self, data, duration_s):
        plan = self.running[data.draw(st.sampled_from(sorted(self.running)))]
        ended = data.draw(st.sets(st.sampled_from(plan.request_ids()), max_size=2))
        if data.draw(st.integers(0, 9)) == 0 and self.live:  # fails outside its step
            ended.add(data.draw(st.sampled_from(sorted(self.live))))
        self._finish(plan, duration_s, tuple(sorted(ended)))

    @rule(pause_s=times)
    def time_passes(self, pause_s):
        self.now_s += pause_s

    @rule()
    @precondition(lambda self: len(self.history) > 20)
    def drain(self):
        self.scheduler.drain()
        self.history.append((self.now_s, None))
        self.is_draining = True

    # what must hold

    @invariant()
    def books_balance(self):
        if not hasattr(self, "scheduler"):
            return
        self.scheduler.check_integrity()
        snapshot = self.scheduler.snapshot()
        inside = [*snapshot.text, *snapshot.images, *snapshot.encoders]
        assert sum(one.num_running + one.num_waiting for one in inside) == len(self.live)
        for counts in snapshot.text:
            limits = TEXT[counts.model]
            assert counts.num_waiting <= limits.max_waiting
            assert counts.num_running <= limits.max_num_seqs
            held = [
                live.blocks for live in self.live.values() if live.request.model == limits.model
            ]
            assert counts.used_blocks == sum(map(len, held)) <= counts.total_blocks
        for counts in snapshot.images:
            assert counts.used_bytes <= counts.total_bytes
            assert counts.num_waiting <= IMAGES[counts.model].max_waiting
        for counts in snapshot.encoders:
            assert counts.num_waiting <= ENCODERS[counts.model].max_waiting
        assert {plan.step_id for plan in snapshot.lanes if plan} == set(self.running)

    def teardown(self):
        """Nothing is lost: without new work everything ends, in as many steps as it needs."""
        if not hasattr(self, "scheduler"):
            return
        work = sum(self._work(live.request) for live in self.live.values())
        for _ in range(work + len(self.running)):
            if not self.live:
                break
            while self._plan() is not None:
                pass
            assert self.running, f"{sorted(self.live)} wait on an idle device"
            self._finish(self.running[min(self.running)], 0.05, ())
        assert not self.live
        assert self._plan() is None
        self._replay()

    def _replay(self):
        scheduler = make_scheduler(self.limits, self.policy)
        for at_s, what in self.history:
            if what is None:
                scheduler.drain()
            elif isinstance(what, StepPlan):
                assert scheduler.plan(at_s) == what
            else:
                scheduler.on_event(what, at_s)

    # the model

    def _work(self, request):
        if isinstance(request, TextRequest):
            return request.prompt_tokens + request.max_output_tokens
        return 1 if isinstance(request, EncodeRequest) else request.num_steps + 2

    def _is_in_step(self, name):
        return any(name in plan.request_ids() for plan in self.running.values())

    def _tell(self, event):
        self.history.append((self.now_s, event))
        return self.scheduler.on_event(event, self.now_s)

    def _plan(self):
        plan = self.scheduler.plan(self.now_s)
        if plan is None:
            idle = set(self.live) - {
                one for plan in self.running.values() for one in plan.request_ids()
            }
            if not self.running:
                assert not idle, "work conserving: an idle device with work must run it"
            return None
        self.history.append((self.now_s, plan))
        names = plan.request_ids()
        assert len(set(names)) == len(names) > 0
        assert all(name in self.live and not self.live[name].is_cancelled for name in names)
        assert not any(self._is_in_step(name) for name in names)
        assert plan.lane not in {running.lane for running in self.running.values()}
        assert plan.predicted_s > 0
        if isinstance(plan.batch, TextBatch):
            self._check_text(plan)
        elif isinstance(plan.batch, EncoderBatch):
            self._check_encoder(plan)
        else:
            self._check_images(plan)
        self._count_encoder_run(plan)
        self.running[plan.step_id] = plan
        self._count_text_run(plan)
        return plan

    def _count_text_run(self, plan):
        has_images = any(isinstance(live.request, ImageRequest) for live in self.live.values())
        is_text = plan.kind is StepKind.TEXT
        self.text_run = self.text_run + 1 if is_text and has_images else 0
        if self.limits.num_lanes == 1:
            assert self.text_run <= MAX_TEXT_RUN, "images starve"

    def _check_text(self, plan):
        batch, limits = plan.batch, TEXT[plan.model]
        assert sum(chunk.num_tokens for chunk in batch.chunks) <= limits.max_chunk_tokens
        if self.last_decodes.get(plan.model) == batch.decodes:
            assert self.last_decodes[plan.model] is batch.decodes
        self.last_decodes[plan.model] = batch.decodes
        for grant in batch.grants:
            self.live[grant.request_id].blocks.extend(grant.block_ids)
        held = [
            block
            for live in self.live.values()
            if live.request.model == plan.model
            for block in live.blocks
        ]
        assert len(set(held)) == len(held), "a block has two owners"
        context = 0
        for name in batch.decodes:
            live = self.live[name]
            assert live.tokens >= 1
            cached = live.prefilled + live.tokens - 1
            context += cached
            assert cached + 1 <= len(live.blocks) * limits.block_tokens
            assert live.tokens < live.request.max_output_tokens
        for chunk in batch.chunks:
            live = self.live[chunk.request_id]
            assert chunk.num_tokens >= 1
            assert (live.tokens, live.prefilled) == (0, chunk.past_tokens)
            done = chunk.past_tokens + chunk.num_tokens
            assert chunk.is_last == (done == live.request.prompt_tokens)
            assert done <= len(live.blocks) * limits.block_tokens
        running = {
            name
            for name, live in self.live.items()
            if live.request.model == plan.model and live.tokens
        }
        assert set(batch.decodes) == running
        assert plan.shape.num_decodes == len(running)
        assert plan.shape.decode_context_tokens == context

    def _count_encoder_run(self, plan):
        """Encoders and everything else wait for each other at most `TURNS` steps."""
        idle = [live for name, live in self.live.items() if not self._is_in_step(name)]
        is_encoder = isinstance(plan.batch, EncoderBatch)
        has_text = any(isinstance(live.request, EncodeRequest) for live in idle)
        has_other = any(isinstance(live.request, TextRequest) and live.tokens for live in idle)
        self.run_without_encoder = 0 if is_encoder or not has_text else self.run_without_encoder + 1
        self.run_of_encoders = self.run_of_encoders + 1 if is_encoder and has_other else 0
        if self.limits.num_lanes == 1:
            assert self.run_without_encoder <= TURNS, "encoders starve"
            assert self.run_of_encoders <= TURNS, "encoders starve decodes"

    def _check_encoder(self, plan):
        limits = ENCODERS[plan.model]
        requests = [self.live[name].request for name in plan.batch.texts]
        longest = max(request.num_tokens for request in requests)
        assert {request.model for request in requests} == {plan.model}
        assert (plan.shape.batch, plan.shape.tokens) == (len(requests), longest)
        assert len(requests) <= limits.max_batch
        assert len(requests) * longest <= limits.max_batch_tokens
        assert plan.kind is StepKind.ENCODE

    def _check_images(self, plan):
        assert isinstance(plan.batch, ImageBatch)
        lives = [self.live[item.request_id] for item in plan.batch.items]
        keys = {
            (one.request.model, one.request.width, one.request.height, one.request.is_guided)
            for one in lives
        }
        assert len(keys) == 1
        assert len(lives) <= IMAGES[plan.model].max_batch
        for item, live in zip(plan.batch.items, lives, strict=True):
            due = [StepKind.ENCODE, *[StepKind.DENOISE] * live.request.num_steps]
            due.append(StepKind.VAE_DECODE)
            assert plan.kind is due[len(live.steps)]
            if plan.kind is StepKind.DENOISE:
                assert item.step_idx == len(live.steps) - 1

    def _finish(self, plan, duration_s, ended):
        del self.running[plan.step_id]
        self.now_s += duration_s
        self._tell(StepFinished(step_id=plan.step_id, duration_s=duration_s, ended=ended))
        if isinstance(plan.batch, TextBatch):
            for chunk in plan.batch.chunks:
                self.live[chunk.request_id].prefilled += chunk.num_tokens
                self.live[chunk.request_id].tokens += chunk.is_last
            for name in plan.batch.decodes:
                self.live[name].tokens += 1
        else:
            for name in plan.request_ids():
                self.live[name].steps.append(plan.kind)
        for name in ended:
            if name in self.live:
                self.live[name].is_failed = True
        for name, live in list(self.live.items()):
            if self._has_left(live) and not self._is_in_step(name):
                del self.live[name]

    def _has_left(self, live):
        if live.is_cancelled or live.is_failed:
            return True
        if isinstance(live.request, TextRequest):
            return live.tokens == live.request.max_output_tokens
        if isinstance(live.request, EncodeRequest):
            return bool(live.steps)
        return StepKind.VAE_DECODE in live.steps


@pytest.mark.parametrize("policy", ["slack", "round-robin"])
def test_random_lives_keep_every_promise(policy):
    machine = type("Machine", (SchedulerMachine,), {"policy": policy})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
