"""The texts of one encoder: each waits, goes through one step, and is gone.

    waiting ──encode──► gone

Nothing is kept between steps, so only the queue is bounded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loadsheet.sched.edf_queue import EdfQueue
from loadsheet.sched.limits import EncoderLimits
from loadsheet.sched.plan import EncoderBatch, EncoderShape
from loadsheet.workload.request import EncodeRequest


@dataclass(slots=True, eq=False)
class EncoderJob:
    """One request inside its group."""

    request: EncodeRequest
    order: int
    is_stepping: bool = False

    @property
    def deadline_s(self) -> float:
        return self.request.arrival_s + self.request.slo.deadline_s

    @property
    def urgency(self) -> tuple[float, int]:
        return self.deadline_s, self.order


class EncoderGroup:
    def __init__(self, limits: EncoderLimits) -> None:
        self.limits = limits
        self.model = limits.model
        self.waiting: EdfQueue[EncoderJob] = EdfQueue()
        self._jobs: dict[str, EncoderJob] = {}

    @property
    def num_waiting(self) -> int:
        return len(self.waiting)

    @property
    def num_started(self) -> int:
        """Texts in a running step."""
        return len(self._jobs) - len(self.waiting)

    @property
    def is_empty(self) -> bool:
        return not self._jobs

    def fitting(self) -> list[EncoderJob]:
        """Who could go together now, earliest deadline first, within both bounds of a batch."""
        jobs: list[EncoderJob] = []
        longest = 0
        for job in self.waiting:
            longest = max(longest, job.request.num_tokens)
            is_full = len(jobs) == self.limits.max_batch
            if is_full or longest * (len(jobs) + 1) > self.limits.max_batch_tokens:
                break
            jobs.append(job)
        return jobs

    def add(self, request: EncodeRequest, order: int) -> None:
        job = EncoderJob(request=request, order=order)
        self._jobs[request.request_id] = job
        self.waiting.add(*job.urgency, job)

    def cancel(self, request_id: str) -> bool:
        """Whether it left at once; otherwise it leaves when its running step finishes."""
        job = self._jobs[request_id]
        if job.is_stepping:
            return False
        self.waiting.discard(*job.urgency)
        del self._jobs[request_id]
        return True

    def start_step(self, request_ids: tuple[str, ...]) -> tuple[EncoderBatch, EncoderShape]:
        jobs = [self._jobs[request_id] for request_id in request_ids]
        for job in jobs:
            self.waiting.discard(*job.urgency)
            job.is_stepping = True
        return EncoderBatch(texts=request_ids), shape_of(jobs)

    def finish_step(self, batch: EncoderBatch) -> list[str]:
        """Every text of the batch is done, whatever became of it. Returns who left: all."""
        for request_id in batch.texts:
            del self._jobs[request_id]
        return list(batch.texts)

    def check_integrity(self) -> None:
        """Every text is in one place. O(texts)."""
        jobs = self._jobs.values()
        assert set(self.waiting) == {job for job in jobs if not job.is_stepping}
        assert len(self.waiting) <= self.limits.max_waiting


def shape_of(jobs: Iterable[EncoderJob]) -> EncoderShape:
    """Of a step over these texts, padded to the longest."""
    lengths = [job.request.num_tokens for job in jobs]
    return EncoderShape(batch=len(lengths), tokens=max(lengths))
