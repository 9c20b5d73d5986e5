"""Closed-loop load on a device loop: streams that always decode, images that are always drawn.

Everything is counted inside one window, which opens once every stream has its first token and
every first image its first step, and closes after a set time; requests still running are cancelled.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median, quantiles

import torch

from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.torch_executor import TorchExecutor
from loadsheet.runtime.clock import MonotonicClock
from loadsheet.runtime.device_loop import DeviceLoop
from loadsheet.runtime.executor import StepResult
from loadsheet.runtime.payload import ImagePayload, Payload, Sampling, TextPayload
from loadsheet.runtime.update import Failed, Image, Progress, Rejected, Token, Update
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import ImageBatch, StepKind, StepPlan
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import ImageRequest, Request, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO

TEXT, IMAGES = "text", "images"
START_TIMEOUT_S = 120.0
MAX_STREAMS = 64
MAX_IMAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to keep under way, for how long."""

    num_streams: int
    num_images: int
    window_s: float
    prompt_tokens: int
    output_tokens: int
    tpot_slo_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    kind: StepKind
    batch: int  # images; 0 for text
    end_s: float
    duration_s: float


class TimedExecutor(TorchExecutor):
    """Remembers how long each step took."""

    def __init__(self, text: TextEngine | None, images: ImageEngine | None) -> None:
        super().__init__({TEXT: text} if text else {}, {IMAGES: images} if images else {})
        self.steps: list[StepTime] = []

    def run(self, plan: StepPlan) -> StepResult:
        result = super().run(plan)
        batch = len(plan.batch.items) if isinstance(plan.batch, ImageBatch) else 0
        self.steps.append(
            StepTime(
                kind=plan.kind,
                batch=batch,
                end_s=time.monotonic(),
                duration_s=result.duration_s,
            )
        )
        return result


@dataclass(slots=True)
class Journal:
    """Times at which updates came, by request, on one clock."""

    tokens: dict[str, list[float]] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=dict)
    pictures: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def note(self, request_id: str, update: Update) -> None:
        now_s = time.monotonic()
        match update:
            case Token():
                self.tokens[request_id].append(now_s)
            case Progress():
                self.steps[request_id].append(now_s)
            case Image():
                self.pictures.append(now_s)
            case Failed(message=message):
                self.failures.append(message)
            case Rejected(rejection=rejection):
                self.failures.append(rejection.message)


class ClosedLoop:
    """Submits a request for each stream and image slot, and the next when it ends."""

    def __init__(self, loop: DeviceLoop, load: Load, engines: "Engines") -> None:
        self.journal = Journal()
        self._loop = loop
        self._load = load
        self._engines = engines
        self._active: set[str] = set()
        self._num_made = 0
        self._is_open = True
        self._lock = threading.Lock()

    def start(self) -> None:
        for _ in range(self._load.num_streams):
            self._submit(self._text)
        for _ in range(self._load.num_images):
            self._submit(self._image)

    def is_under_way(self) -> bool:
        journal = self.journal
        if journal.failures:
            raise RuntimeError(journal.failures[0])
        begun = {**journal.tokens, **journal.steps}
        num_first = self._load.num_streams + self._load.num_images
        return all(begun.get(_request_id(number)) for number in range(1, num_first + 1))

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            active = list(self._active)
        for request_id in active:
            self._loop.cancel(request_id)

    def _submit(self, make: Callable[[str], tuple[Request, Payload]]) -> None:
        with self._lock:
            if not self._is_open:
                return
            self._num_made += 1
            request_id = _request_id(self._num_made)
            self._active.add(request_id)
        request, payload = make(request_id)

        def sink(update: Update) -> None:
            self.journal.note(request_id, update)
            is_last_token = isinstance(update, Token) and update.finish_reason is not None
            if is_last_token or isinstance(update, Image):
                with self._lock:
                    self._active.discard(request_id)
                self._submit(make)

        self._loop.submit(request, payload, sink)

    def _text(self, request_id: str) -> tuple[Request, Payload]:
        self.journal.tokens[request_id] = []
        assert self._engines.text is not None
        generator = torch.Generator().manual_seed(self._num_made)
        vocab_size, load = self._engines.text.vocab_size, self._load
        ids = torch.randint(vocab_size, (load.prompt_tokens,), generator=generator)
        request = TextRequest(
            request_id=request_id,
            model=TEXT,
            arrival_s=self._loop.now_s(),
            prompt_tokens=load.prompt_tokens,
            max_output_tokens=load.output_tokens,
            slo=TextSLO(tpot_s=load.tpot_slo_s),
        )
        payload = TextPayload(
            prompt_ids=tuple(ids.tolist()),
            sampling=Sampling(temperature=0.0),
            max_output_tokens=load.output_tokens,
            is_eos_ignored=True,
        )
        return request, payload

    def _image(self, request_id: str) -> tuple[Request, Payload]:
        self.journal.steps[request_id] = []
        assert self._engines.images is not None
        pipeline = self._engines.images.pipeline
        width, height = pipeline.sizes[0]
        num_steps = pipeline.default_num_steps
        request = ImageRequest(
            request_id=request_id,
            model=IMAGES,
            arrival_s=self._loop.now_s(),
            width=width,
            height=height,
            num_steps=num_steps,
            is_guided=True,
            slo=ImageSLO(deadline_s=60.0),
        )
        payload = ImagePayload(
            prompt=f"picture {request_id}",
            width=width,
            height=height,
            num_steps=num_steps,
            guidance_scale=pipeline.default_guidance_scale,
            seed=self._num_made,
        )
        return request, payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    text: TextEngine | None = None
    images: ImageEngine | None = None

    def limits(self) -> DeviceLimits:
        text: tuple[TextLimits, ...] = ()
        images: tuple[ImageLimits, ...] = ()
        if self.text is not None:
            text = (
                TextLimits(
                    model=TEXT,
                    num_blocks=self.text.num_blocks,
                    max_context_tokens=self.text.max_context_tokens,
                    max_num_seqs=MAX_STREAMS,
                ),
            )
        if self.images is not None:
            width, height = self.images.sizes[0]
            state_bytes = self.images.state_bytes(width, height)
            size = ImageSize(width=width, height=height, state_bytes=state_bytes)
            budget_bytes = MAX_IMAGES * state_bytes
            images = (ImageLimits(model=IMAGES, sizes=(size,), budget_bytes=budget_bytes),)
        return DeviceLimits(text=text, images=images)


def run_load(engines: Engines, load: Load, policy: str = "slack") -> dict[str, object]:
    """Rates and gaps inside the window; raises RuntimeError with the first failure."""
    executor = TimedExecutor(engines.text, engines.images)
    scheduler = make_scheduler(engines.limits(), policy)
    loop = DeviceLoop(scheduler, executor, MonotonicClock())
    closed = ClosedLoop(loop, load, engines)
    loop.start()
    try:
        closed.start()
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not closed.is_under_way():
            if time.monotonic() > give_up_s:
                raise RuntimeError(f"not every request began within {START_TIMEOUT_S:.0f} s")
            time.sleep(0.02)
        begin_s = time.monotonic()
        time.sleep(load.window_s)
        end_s = time.monotonic()
        closed.close()
        loop.wait_idle(START_TIMEOUT_S)
    finally:
        loop.stop()
    closed.is_under_way()  # raises what failed inside the window
    return summarise(closed.journal, executor.steps, load, (begin_s, end_s))


def summarise(
    journal: Journal, steps: Sequence[StepTime], load: Load, window: tuple[float, float]
) -> dict[str, object]:
    begin_s, end_s = window
    length_s = end_s - begin_s
    num_steps = sum(_count(times, window) for times in journal.steps.values())
    gaps_s = [
        later - earlier
        for times in journal.tokens.values()
        for earlier, later in pairwise(times)
        if begin_s <= later < end_s
    ]
    inside = [step for step in steps if begin_s <= step.end_s < end_s]
    return {
        "num_streams": load.num_streams,
        "num_images": load.num_images,
        "window_s": length_s,
        "tokens_per_s": sum(_count(times, window) for times in journal.tokens.values()) / length_s,
        "itl_p50_s": _quantile(gaps_s, 50),
        "itl_p99_s": _quantile(gaps_s, 99),
        "denoise_steps_per_s": num_steps / length_s,
        "images_finished": _count(journal.pictures, window),
        "step_s": {kind.value: _step_seconds(inside, kind) for kind in StepKind},
        "busy_share": sum(step.duration_s for step in inside) / length_s,
    }


def _request_id(number: int) -> str:
    return f"r{number}"


def _count(times: Sequence[float], window: tuple[float, float]) -> int:
    return sum(window[0] <= one < window[1] for one in times)


def _step_seconds(steps: Sequence[StepTime], kind: StepKind) -> dict[str, float]:
    """Median seconds by images in the batch; text under "0"."""
    batches = sorted({step.batch for step in steps if step.kind is kind})
    return {
        str(batch): median(
            step.duration_s for step in steps if step.kind is kind and step.batch == batch
        )
        for batch in batches
    }


def _quantile(values: Sequence[float], percent: int) -> float | None:
    if len(values) < 2:
        return None
    return quantiles(values, n=100, method="inclusive")[percent - 1]
