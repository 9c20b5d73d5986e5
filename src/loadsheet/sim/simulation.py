"""The event loop: arrivals, devices and planned actions on one virtual clock.

Everything that happens at one time happens in a fixed order: devices by name, then actions, then
arrivals. So a simulation is a function of its inputs.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
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
        self.records: list[Record] = []
        self._follow_up = follow_up
        self._events: list[tuple[float, int, int, SimDevice | Action | Job]] = []
        self._orders = count()
        for device in devices:
            self.add_device(device)

    def add_device(self, device: SimDevice) -> None:
        """From now on requests may go there."""
        device.is_up = True
        self.router.add(device)

    def remove_device(self, device: SimDevice) -> None:
        """No more requests go there; it works off what it has."""
        device.is_up = False
        self.router.remove(device)

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
        """Route a request now; for one that comes back from a lost device too."""
        device = self.router.choose(record.job)
        if device is None:
            self._refuse(record, f"no replica serves {record.job.request.model} now")
            return
        wait_s = device.boarding_s(record.job.request, self.now_s)
        if wait_s:
            self.at(self.now_s + wait_s, partial(_board, record, device))
        else:
            self._offer(record, device)

    def lose(self, record: Record) -> None:
        """Its device is gone and nobody begins again."""
        record.fate = Fate.LOST
        self._over(record)

    def watch(self, device: SimDevice) -> None:
        """A device's plans changed."""
        self.router.changed(device)
        if device.next_s < float("inf"):
            self._push(device.next_s, _DEVICE, device)

    def offer(self, record: Record, device: SimDevice) -> None:
        """To a device that made ready for it; elsewhere if that died meanwhile."""
        if device.is_up:
            self._offer(record, device)
        else:
            self.submit(record)

    def _offer(self, record: Record, device: SimDevice) -> None:
        if device.next_s < self.now_s:
            raise AssertionError("a device is behind the clock")
        rejection = device.arrive(record, self.now_s)
        if rejection is not None:
            self._refuse(record, rejection.message)
        self.watch(device)

    def _refuse(self, record: Record, message: str) -> None:
        record.fate, record.message = Fate.REJECTED, message
        self._over(record)

    def _next_arrival(self, coming: Iterator[Job]) -> None:
        job = next(coming, None)
        if job is not None:
            self._push(job.request.arrival_s, _ARRIVAL, job)

    def _arrive(self, job: Job) -> None:
        record = Record(job)
        self.records.append(record)
        if job.delay_s:
            self.at(self.now_s + job.delay_s, partial(_submit, record))
        else:
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


def _submit(record: Record, simulation: Simulation, now_s: float) -> None:
    del now_s
    simulation.submit(record)


def _board(record: Record, device: SimDevice, simulation: Simulation, now_s: float) -> None:
    del now_s
    simulation.offer(record, device)
