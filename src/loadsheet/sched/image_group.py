"""The images of one image model: who waits, who holds latents, and what each needs next.

    waiting ──encode──► denoise x num_steps ──vae_decode──► gone
            └─ its latents and conditioning are booked from here to the end ─┘

An image is in `waiting`, in `ready` (started, idle) or in exactly one running step.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.sched.edf_queue import EdfQueue
from loadsheet.sched.limits import ImageLimits
from loadsheet.sched.plan import ImageBatch, ImageItem, ImageShape, StepKind
from loadsheet.workload.request import ImageRequest


@dataclass(slots=True, eq=False)
class ImageJob:
    """One image request inside its group; `next_kind` is the step it needs next.

    `due_s` is its deadline, or infinity while it is given up.
    """

    request: ImageRequest
    order: int
    due_s: float
    state_bytes: int
    next_kind: StepKind = StepKind.ENCODE
    step_idx: int = 0
    is_stepping: bool = False
    is_leaving: bool = False

    @property
    def request_id(self) -> str:
        return self.request.request_id

    @property
    def deadline_s(self) -> float:
        return self.request.arrival_s + self.request.slo.deadline_s

    @property
    def is_started(self) -> bool:
        return self.is_stepping or self.next_kind is not StepKind.ENCODE

    @property
    def steps_left(self) -> int:
        return self.request.num_steps - self.step_idx

    @property
    def urgency(self) -> tuple[float, int]:
        return self.due_s, self.order

    @property
    def batch_key(self) -> tuple[int, int, bool, str | None]:
        """Images batch only with equals: one size, one number of branches, one set of weights."""
        request = self.request
        return request.width, request.height, request.is_guided, request.adapter

    def shape(self, batch: int) -> ImageShape:
        """Of a step of `batch` images like this one."""
        request = self.request
        return ImageShape(
            batch=batch,
            width=request.width,
            height=request.height,
            is_guided=request.is_guided,
            has_adapter=request.adapter is not None,
        )


class ImageGroup:
    def __init__(self, limits: ImageLimits) -> None:
        self.limits = limits
        self.model = limits.model
        self.used_bytes = 0
        self.waiting: EdfQueue[ImageJob] = EdfQueue()
        self.ready: EdfQueue[ImageJob] = EdfQueue()
        self._jobs: dict[str, ImageJob] = {}

    @property
    def is_empty(self) -> bool:
        return not self._jobs

    @property
    def num_started(self) -> int:
        """Images that hold latents."""
        return len(self._jobs) - len(self.waiting)

    @property
    def num_waiting(self) -> int:
        return len(self.waiting)

    def startable(self) -> list[ImageJob]:
        """Images that could start now, in deadline order; a large one is not overtaken."""
        jobs: list[ImageJob] = []
        free_bytes = self.limits.budget_bytes - self.used_bytes
        for job in self.waiting:
            free_bytes -= job.state_bytes
            if free_bytes < 0 or len(jobs) == self.limits.max_batch:
                break
            jobs.append(job)
        return jobs

    def next_job(self) -> ImageJob | None:
        """The earliest deadline among the images that a step could work on."""
        ready, waiting = self.ready.head(), self.waiting.head()
        if waiting is None or waiting.state_bytes > self.limits.budget_bytes - self.used_bytes:
            return ready
        return waiting if ready is None else min(ready, waiting, key=lambda job: job.urgency)

    def jobs(self) -> Iterable[ImageJob]:
        """Every accepted image, in the order of arrival."""
        return self._jobs.values()

    def add(self, request: ImageRequest, order: int) -> None:
        state_bytes = self.limits.state_bytes(request.width, request.height)
        assert state_bytes is not None, "admission lets only offered sizes in"
        due_s = request.arrival_s + request.slo.deadline_s
        job = ImageJob(request=request, order=order, due_s=due_s, state_bytes=state_bytes)
        self._jobs[request.request_id] = job
        self.waiting.add(*job.urgency, job)

    def cancel(self, request_id: str) -> bool:
        """Whether it left at once; otherwise it leaves when its running step finishes."""
        job = self._jobs[request_id]
        if job.is_stepping:
            job.is_leaving = True
            return False
        (self.ready if job.is_started else self.waiting).discard(*job.urgency)
        self._remove(job)
        return True

    def give_up(self, job: ImageJob) -> None:
        """Serve an idle image after all those that can still be in time."""
        queue = self.ready if job.is_started else self.waiting
        queue.discard(*job.urgency)
        job.due_s = float("inf")
        queue.add(*job.urgency, job)

    def start_step(self, request_ids: tuple[str, ...]) -> tuple[ImageBatch, ImageShape]:
        jobs = [self._jobs[request_id] for request_id in request_ids]
        for job in jobs:
            if job.is_started:
                self.ready.discard(*job.urgency)
            else:
                self.waiting.discard(*job.urgency)
                self.used_bytes += job.state_bytes
            job.is_stepping = True
        items = tuple(ImageItem(request_id=job.request_id, step_idx=job.step_idx) for job in jobs)
        return ImageBatch(items=items), jobs[0].shape(len(jobs))

    def finish_step(self, batch: ImageBatch, ended: Iterable[str]) -> list[str]:
        """Every image of the batch advanced. Returns who left."""
        left: list[str] = []
        failed = frozenset(ended)
        for item in batch.items:
            job = self._jobs[item.request_id]
            is_done = _advance(job)
            if is_done or job.is_leaving or job.request_id in failed:
                self._remove(job)
                left.append(job.request_id)
            else:
                job.due_s = job.deadline_s  # what was given up on a wrong prediction gets a chance
                self.ready.add(*job.urgency, job)
        return left

    def min_steps_left(self, request_ids: tuple[str, ...]) -> int:
        """Until the first of these images has been denoised."""
        return min(self._jobs[request_id].steps_left for request_id in request_ids)

    def step_shape(self, request_ids: tuple[str, ...]) -> ImageShape:
        """Of a step of these images, which are alike."""
        return self._jobs[request_ids[0]].shape(len(request_ids))

    def skip(self, request_ids: Iterable[str], num_steps: int) -> None:
        """These images ran `num_steps` denoise steps together, and at most their last one."""
        for request_id in request_ids:
            job = self._jobs[request_id]
            job.step_idx += num_steps - 1
            _advance(job)

    def check_integrity(self) -> None:
        """Every image is in one place and its bytes are booked once. O(images)."""
        jobs = self._jobs.values()
        started = [job for job in jobs if job.is_started]
        assert self.used_bytes == sum(job.state_bytes for job in started), "bytes drifted"
        assert self.used_bytes <= self.limits.budget_bytes
        assert set(self.waiting) == {job for job in jobs if not job.is_started}
        assert set(self.ready) == {job for job in started if not job.is_stepping}
        assert len(self.waiting) <= self.limits.max_waiting
        assert all(job.step_idx <= job.request.num_steps for job in jobs)

    def _remove(self, job: ImageJob) -> None:
        del self._jobs[job.request_id]
        if job.is_started:
            self.used_bytes -= job.state_bytes


def _advance(job: ImageJob) -> bool:
    """One step further; whether that was the last."""
    if job.next_kind is StepKind.ENCODE:
        job.next_kind = StepKind.DENOISE
    elif job.next_kind is StepKind.DENOISE:
        job.step_idx += 1
        if not job.steps_left:
            job.next_kind = StepKind.VAE_DECODE
    else:
        return True
    job.is_stepping = False
    return False
