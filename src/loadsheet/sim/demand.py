"""The requests of a workload, as jobs: open classes by the clock, closed ones by what ends.

The load stays on until every request due in the window is over, so that the last ones of it meet
the same competition as the first (see workload.RunPlan).
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from loadsheet.sim.job import Job
from loadsheet.sim.record import Fate, Record
from loadsheet.sim.served_model import ServedModel
from loadsheet.workload.arrivals import ClosedLoop
from loadsheet.workload.request import ImageRequest, TextRequest
from loadsheet.workload.shape import TextShape
from loadsheet.workload.slo import TextSLO
from loadsheet.workload.traffic import Draw, Traffic, draws
from loadsheet.workload.workload import Workload

REFUSED_PAUSE_S = 1.0  # a user of a closed loop who is refused waits so long before the next try


@dataclass(slots=True)
class Demand:
    """Requests due in [start_s, end_s) count; nothing is sent from `until_s` on."""

    workload: Workload
    models: dict[str, ServedModel]  # by class
    seed: int
    start_s: float
    end_s: float
    until_s: float
    _num_open: int = 0  # of the window, not over yet
    _users: dict[str, Iterator[Draw]] = field(default_factory=dict)
    _calls: Counter[str] = field(default_factory=Counter)  # images of a call that are not over

    def jobs(self) -> Iterator[Job]:
        """In order of arrival."""
        merged = heapq.merge(*map(self._stream, self.workload.traffic), key=_arrival_s)
        for job in merged:
            arrival_s = job.request.arrival_s
            if arrival_s >= self.until_s or (arrival_s >= self.end_s and not self._num_open):
                return
            yield self._sent(job)

    def over(self, record: Record, now_s: float) -> Iterable[Job]:
        """A request is over; what its user sends next."""
        job = record.job
        if self._counts(job):
            self._num_open -= 1
        traffic = next(one for one in self.workload.traffic if one.name == job.class_name)
        if not isinstance(traffic.arrivals, ClosedLoop):
            return ()
        self._calls[job.session] -= 1
        if self._calls[job.session] > 0:
            return ()
        pause_s = traffic.arrivals.think_s
        if record.fate is not Fate.SERVED:
            pause_s += REFUSED_PAUSE_S
        next_s = now_s + pause_s
        if next_s >= self.until_s or (next_s >= self.end_s and not self._num_open):
            return ()
        return [self._sent(one) for one in self._call(traffic, next_s, job.session)]

    def _stream(self, traffic: Traffic) -> Iterator[Job]:
        if isinstance(traffic.arrivals, ClosedLoop):
            self._users[traffic.name] = draws(traffic, self.seed)
            for user in range(traffic.arrivals.concurrency):
                yield from self._call(traffic, 0.0, f"{traffic.name}#{user}")
            return
        for draw in draws(traffic, self.seed):
            assert draw.arrival_s is not None, "open loops say when"
            yield from self._drawn(traffic, draw, draw.arrival_s, "")

    def _call(self, traffic: Traffic, arrival_s: float, session: str) -> list[Job]:
        draw = next(self._users[traffic.name])
        jobs = list(self._drawn(traffic, draw, arrival_s, session))
        self._calls[session] = len(jobs)
        return jobs

    def _drawn(self, traffic: Traffic, draw: Draw, arrival_s: float, session: str) -> Iterator[Job]:
        model, shape = self.models[traffic.name], draw.shape
        name = f"{traffic.name}-{draw.index}"
        if isinstance(shape, TextShape):
            assert isinstance(model.slo, TextSLO)
            text = shape.request(name, model.name, arrival_s, model.slo)
            yield self._job(traffic, text, model, session)
            return
        slo = model.image_slo(shape)
        for idx in range(shape.num_images):
            request_id = name if shape.num_images == 1 else f"{name}.{idx}"
            image = shape.request(request_id, model.name, arrival_s, slo)
            yield self._job(traffic, image, model, session)

    def _job(
        self,
        traffic: Traffic,
        request: TextRequest | ImageRequest,
        model: ServedModel,
        session: str,
    ) -> Job:
        tokens = request.max_output_tokens if isinstance(request, TextRequest) else 1
        return Job(
            request=request,
            class_name=traffic.name,
            output_tokens=tokens,
            session=session,
            delay_s=model.delay_s,
        )

    def _sent(self, job: Job) -> Job:
        self._num_open += self._counts(job)
        return job

    def _counts(self, job: Job) -> bool:
        return self.start_s <= job.request.arrival_s < self.end_s


def _arrival_s(job: Job) -> float:
    return job.request.arrival_s
