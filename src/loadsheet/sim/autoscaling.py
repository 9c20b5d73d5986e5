"""Autoscalers in the loop: they order and retire replicas, which takes as long as it takes."""

import math
from collections import deque
from dataclasses import dataclass
from functools import partial

from loadsheet.sim.fleet import Fleet
from loadsheet.sim.scenario import Autoscaler, Reactive, Scheduled
from loadsheet.sim.simulation import Simulation


@dataclass(slots=True)
class ReactiveScaler:
    """Decides every interval from now until `until_s`."""

    config: Reactive
    fleet: Fleet
    until_s: float
    wanted: deque[int]

    def decide(self, simulation: Simulation, now_s: float) -> None:
        config, replicas = self.config, self.fleet.wanted(self.config.group)
        inside = sum(replica.device.num_inside for replica in replicas)
        count = min(max(math.ceil(inside / config.target), config.low), config.high)
        self.wanted.append(count)
        # up at once, down only to what no decision of the last `hold` exceeded
        is_settled = len(self.wanted) == config.hold
        aim = max(self.wanted) if is_settled else max(len(replicas), *self.wanted)
        if aim != len(replicas):
            self.fleet.scale(config.group, aim, simulation)
        if now_s + config.interval_s <= self.until_s:
            simulation.at(now_s + config.interval_s, self.decide)


def begin_autoscaling(
    autoscaler: Autoscaler, fleet: Fleet, simulation: Simulation, until_s: float
) -> None:
    fleet.group(autoscaler.group)  # or an error that names the groups
    if isinstance(autoscaler, Scheduled):
        for at_s, count in autoscaler.steps:
            simulation.at(at_s, partial(_set, fleet, autoscaler.group, count))
        return
    scaler = ReactiveScaler(autoscaler, fleet, until_s, deque(maxlen=autoscaler.hold))
    simulation.at(autoscaler.interval_s, scaler.decide)


def _set(fleet: Fleet, group: str, count: int, simulation: Simulation, now_s: float) -> None:
    del now_s
    fleet.scale(group, count, simulation)
