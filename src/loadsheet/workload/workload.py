"""A workload: classes of traffic, how long to play them, and the seed that fixes every draw."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import ClosedLoop
from loadsheet.workload.planning import ModelChoice, Planning
from loadsheet.workload.traffic import Draw, Traffic, draws


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Warm up, measure for `duration_s`, then keep the load on while the window's requests end.

    `drain_s` bounds that last part; `timeout_s` bounds one request. `measure_alone` plays every
    class by itself first, which interference and share sum need.
    """

    warmup_s: float = 5.0
    duration_s: float = 30.0
    drain_s: float = 30.0
    timeout_s: float = 120.0
    measure_alone: bool = False
    standalone_requests: int = 3

    def __post_init__(self) -> None:
        for name, value, low in (
            ("warmup_s", self.warmup_s, 0.0),
            ("drain_s", self.drain_s, 0.0),
            ("duration_s", self.duration_s, 1e-9),
            ("timeout_s", self.timeout_s, 1e-9),
            ("standalone_requests", self.standalone_requests, 1),
        ):
            if not low <= value < float("inf"):
                raise ConfigError(f"{name} is {value}; give a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    name: str
    traffic: tuple[Traffic, ...]
    seed: int = 0
    run: RunPlan = RunPlan()
    models: tuple[ModelChoice, ...] = ()
    planning: Planning = Planning()

    def __post_init__(self) -> None:
        names = [traffic.name for traffic in self.traffic]
        if not names:
            raise ConfigError("a workload needs at least one class of traffic")
        if len(set(names)) < len(names):
            raise ConfigError(f"two classes share a name: {', '.join(names)}")
        models = [model.name for model in self.models]
        if len(set(models)) < len(models):
            raise ConfigError(f"two models share a name: {', '.join(models)}")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; give 0 or more")


def open_arrivals(workload: Workload, until_s: float) -> Iterator[tuple[Traffic, Draw]]:
    """The open-loop requests of all classes before `until_s`, merged by arrival.

    Closed-loop classes have no arrivals before somebody answers; they are refused here.
    """
    streams = []
    for order, traffic in enumerate(workload.traffic):
        if isinstance(traffic.arrivals, ClosedLoop):
            raise ConfigError(f"{traffic.name} is a closed loop: its arrivals depend on answers")
        streams.append(_keyed(traffic, order, workload.seed))
    for arrival_s, _, traffic, draw in heapq.merge(*streams, key=lambda item: item[:2]):
        if arrival_s >= until_s:
            return
        yield traffic, draw


def _keyed(traffic: Traffic, order: int, seed: int) -> Iterator[tuple[float, int, Traffic, Draw]]:
    for draw in draws(traffic, seed):
        if draw.arrival_s is not None:
            yield draw.arrival_s, order, traffic, draw
