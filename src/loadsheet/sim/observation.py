"""Looking at a running fleet at set times, without changing what it does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from loadsheet.sim.fleet import Fleet
from loadsheet.sim.simulation import Simulation

MAX_SAMPLES = 20_000  # of memory, over all replicas
SAMPLES = 200  # of one replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Requests due in [start_s, end_s) count."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


Progress = Callable[[float], None]
"""Told the share of the window that is over, now and then."""


def observe(
    fleet: Fleet, simulation: Simulation, window: Window, progress: Progress | None = None
) -> None:
    """Memory at even times up to the window's end; busy time at both ends of the window."""
    num_samples = max(2, min(SAMPLES, MAX_SAMPLES // len(fleet.replicas)))
    for idx in range(num_samples):
        at_s = window.end_s * idx / (num_samples - 1)
        simulation.at(at_s, partial(_sample, fleet))
        if progress is not None:
            simulation.at(at_s, partial(_report, progress, at_s / window.end_s))
    simulation.at(window.start_s, partial(_begin, fleet))
    simulation.at(window.end_s, partial(_end, fleet))


def _sample(fleet: Fleet, simulation: Simulation, now_s: float) -> None:
    _settle(fleet, simulation, now_s)
    for replica in fleet.replicas:
        if replica.device.is_up or replica.device.num_inside:
            replica.sample(now_s)


def _report(progress: Progress, share: float, simulation: Simulation, now_s: float) -> None:
    del simulation, now_s
    progress(share)


def _begin(fleet: Fleet, simulation: Simulation, now_s: float) -> None:
    _settle(fleet, simulation, now_s)
    for replica in fleet.replicas:
        replica.busy_before_s = dict(replica.device.busy_s)


def _end(fleet: Fleet, simulation: Simulation, now_s: float) -> None:
    _settle(fleet, simulation, now_s)
    for replica in fleet.replicas:
        replica.busy_until_s = dict(replica.device.busy_s)


def _settle(fleet: Fleet, simulation: Simulation, now_s: float) -> None:
    for replica in fleet.replicas:
        replica.device.settle(now_s)
        simulation.watch(replica.device)
