"""The event loop: arrivals, devices and planned actions on one virtual clock.

Everything that happens at one time happens in a fixed order: devices by name, then actions, then
arrivals. So a simulation is a function of its inputs.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count

from loadsheet.sim.device import SimDevice
from loadsheet.sim.job import Job
from loadsheet.sim.record import Fate, Record
from loadsheet.sim.router import Router

Action = Callable[["Simulation", float], None]
"""(simulation, now in s): what a failure, an autoscaler or a deployment does."""

FollowUp = Callable[[Record, float], Iterable[Job]]
"""(a request that is over, now in s) -> requests that come of it, from now on."""

_DEVICE, _ACTION, _ARRIVAL = range(3)


class Simulation:
    """`follow_up` makes closed loops and pipelines: what arrives when something is over."""

    def __init__(
        self,
        devices: Sequence[SimDevice],
        router: Router,
        *,
        follow_up: FollowUp | None = None,
    ) -> None:
        self.now_s = 0.0
        self.router = router
        self.devices: list[SimDevice] = []
        self.records: list[Record] = []
        self._follow_up = follow_up
        self._events: list[tuple[float, int, int, SimDevice | Action | Job]] = []
        self._orders = count()
        for device in devices:
            self.add_device(device)

    def add_device(self, device: SimDevice) -> None:
        self.devices.append(device)
        self.router.add(device)

    def at(self, time_s: float, action: Action) -> None:
        """Do something later."""
        self._push(time_s, _ACTION, action)

    def run(self, jobs: Iterable[Job], until_s: float = float("inf")) -> list[Record]:
        """Jobs in order of arrival, until all is over or until `until_s`. Every job's record."""
        coming = iter(jobs)
        self._next_arrival(coming)
        events = self._events
        while events and events[0][0] <= until_s:
            time_s, kind, _, what = heapq.heappop(events)
            self.now_s = max(self.now_s, time_s)
            if isinstance(what, SimDevice):
                if what.next_s == time_s:  # else an arrival has changed its plans
                    self._advance(what)
            elif isinstance(what, Job):
                self._arrive(what)
                if kind == _ARRIVAL:
                    self._next_arrival(coming)
            else:
                what(self, time_s)
        return self.records

    def submit(self, record: Record) -> None:
        """Route a request now; for one that comes back from a lost device."""
        device = self.router.choose(record.job.request)
        if device is None:
            record.fate = Fate.REJECTED
            record.message = f"no device serves {record.job.request.model}"
            return
        if device.next_s < self.now_s:
            raise AssertionError("a device is behind the clock")
        rejection = device.arrive(record, self.now_s)
        if rejection is not None:
            record.fate, record.message = Fate.REJECTED, rejection.message
            self._over(record)
        self.watch(device)

    def watch(self, device: SimDevice) -> None:
        """A device's plans changed."""
        self.router.changed(device)
        if device.next_s < float("inf"):
            self._push(device.next_s, _DEVICE, device)

    def _next_arrival(self, coming: Iterator[Job]) -> None:
        job = next(coming, None)
        if job is not None:
            self._push(job.request.arrival_s, _ARRIVAL, job)

    def _arrive(self, job: Job) -> None:
        record = Record(job)
        self.records.append(record)
        self.submit(record)

    def _advance(self, device: SimDevice) -> None:
        for record in device.advance():
            self._over(record)
        self.watch(device)

    def _over(self, record: Record) -> None:
        if self._follow_up is not None:
            for job in self._follow_up(record, self.now_s):
                self._push(job.request.arrival_s, _ACTION, job)

    def _push(self, time_s: float, kind: int, what: SimDevice | Action | Job) -> None:
        heapq.heappush(self._events, (time_s, kind, next(self._orders), what))
