"""The replicas of a deployment in time: they start, serve, fail, come back and retire.

ordered ──start-up──► up ──retired──► works off what it has ──► gone
                      │ ▲
                    fails └── repaired and started again, cold
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.runtime.event_log import EventLogWriter
from loadsheet.sched.policies import make_policy, make_scheduler
from loadsheet.sched.scheduler import Scheduler
from loadsheet.sched.step_times import KnownStepTimes
from loadsheet.sim.adapter_shelf import AdapterShelf
from loadsheet.sim.deployment import Deployment, ReplicaGroup
from loadsheet.sim.device import DeviceOptions, SimDevice
from loadsheet.sim.noise import log_normal_noise
from loadsheet.sim.price_book import PriceBook
from loadsheet.sim.replica import Replica
from loadsheet.sim.scenario import Failure, OnFailure, Scenario
from loadsheet.sim.served_prior import served_prior
from loadsheet.sim.simulation import Simulation
from loadsheet.sim.slow_prices import SlowPrices
from loadsheet.sim.span import SpanRecorder
from loadsheet.sim.step_prices import StepPrices
from loadsheet.sim.work_prices import WorkPrices


@dataclass(slots=True)
class Fleet:
    """`record_spans` makes a recorder for a replica, by its name. With `log_dir` every replica
    writes `NAME.events.jsonl` there, and learns its step times as a server does, so that a replay
    needs nothing but the log."""

    deployment: Deployment
    book: PriceBook
    scenario: Scenario
    seed: int
    record_spans: Callable[[str], SpanRecorder | None]
    log_dir: Path | None = None
    replicas: list[Replica] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _logs: list[EventLogWriter] = field(default_factory=list)

    def begin(self, simulation: Simulation) -> None:
        """Everybody of the deployment is up and warm at 0; failures are planned."""
        for group in self.deployment.groups:
            for _ in range(group.num_replicas):
                self._up(self._make(group, 0.0), simulation, 0.0)
        names = {replica.name for replica in self.replicas}
        named = [one.replica for one in self.scenario.failures]
        for name in named + [one.replica for one in self.scenario.stragglers]:
            if name not in names:
                raise ConfigError(f"there is no replica {name!r}, only {', '.join(sorted(names))}")
        for failure in self.scenario.failures:
            simulation.at(failure.at_s, partial(self._fail, failure))

    def close(self) -> None:
        """Ends the event logs."""
        for log in self._logs:
            log.close()

    def group(self, name: str) -> ReplicaGroup:
        for group in self.deployment.groups:
            if group.name == name:
                return group
        known = ", ".join(group.name for group in self.deployment.groups)
        raise ConfigError(f"there is no group {name!r}, only {known}")

    def wanted(self, group: str) -> list[Replica]:
        """Of a group, who is up, starts or will come back."""
        return [one for one in self.replicas if one.group.name == group and one.retired_s is None]

    def scale(self, group: str, count: int, simulation: Simulation) -> None:
        """Order or retire replicas until `count` are wanted; those not up yet retire first."""
        wanted = self.wanted(group)
        for _ in range(count - len(wanted)):
            self._order(self.group(group), simulation)
        spare = sorted(wanted, key=lambda one: (one.device.is_up, one.device.work_s))
        for replica in spare[: max(0, len(wanted) - count)]:
            replica.retired_s = simulation.now_s
            if replica.device.is_up:
                simulation.remove_device(replica.device)

    def startup_s(self, group: ReplicaGroup) -> float:
        """From the order to the first request."""
        startup, device = self.scenario.startup, self.book.device(group.device)
        num_bytes = sum(self.book.weight_bytes(model) for model in group.models)
        rate = min(startup.bytes_per_s, device.host_bytes_per_s or float("inf"))
        return startup.base_s + num_bytes / group.num_devices / rate

    def _order(self, group: ReplicaGroup, simulation: Simulation) -> None:
        replica = self._make(group, simulation.now_s)
        simulation.at(simulation.now_s + self.startup_s(group), partial(self._up, replica))

    def _up(self, replica: Replica, simulation: Simulation, now_s: float) -> None:
        del now_s
        if replica.retired_s is None:
            simulation.add_device(replica.device)

    def _fail(self, failure: Failure, simulation: Simulation, now_s: float) -> None:
        replica = next(one for one in self.replicas if one.name == failure.replica)
        if not replica.device.is_up:
            return
        simulation.remove_device(replica.device)
        lost = replica.device.die()
        replica.num_failures += 1
        if failure.repair_s == float("inf"):
            replica.retired_s = now_s
        else:
            back_s = now_s + failure.repair_s + self.startup_s(replica.group)
            simulation.at(back_s, partial(self._up, replica))
        for record in lost:
            if self.scenario.on_failure is OnFailure.LOSE:
                simulation.lose(record)
            else:
                record.restart()
                simulation.submit(record)

    def _make(self, group: ReplicaGroup, ordered_s: float) -> Replica:
        number = self._numbers.get(group.name, 0)
        self._numbers[group.name] = number + 1
        name = f"{group.name}-{number}"
        device = self._device(group, name)
        replica = Replica(name=name, group=group, device=device, ordered_s=ordered_s)
        self.replicas.append(replica)
        return replica

    def _device(self, group: ReplicaGroup, name: str) -> SimDevice:
        scenario, prices = self.scenario, self.book.prices(group)
        slowdown = next((one.slowdown for one in scenario.stragglers if one.replica == name), 1.0)
        own = prices if slowdown == 1 else SlowPrices(prices=prices, slowdown=slowdown)
        startup = scenario.startup
        noise_cv = scenario.noise_cv
        options = DeviceOptions(
            noise=log_normal_noise(noise_cv, f"{self.seed} {name}") if noise_cv else None,
            can_jump=not scenario.step_by_step,
            work=WorkPrices(prices),
            adapters=AdapterShelf(load_s=startup.adapter_s, max_adapters=startup.max_adapters),
            spans=self.record_spans(name),
            log=None if self.log_dir is None else self._log(name, group, self.log_dir),
        )
        return SimDevice(name, partial(self._scheduler, group, own), own, options)

    def _log(self, name: str, group: ReplicaGroup, folder: Path) -> EventLogWriter:
        prior = served_prior(group, self.book.prices(group))
        path = folder / f"{name}.events.jsonl"
        self._logs.append(EventLogWriter(path, group.limits, group.policy, prior))
        return self._logs[-1]

    def _scheduler(self, group: ReplicaGroup, prices: StepPrices) -> Scheduler:
        if self.scenario.has_learning or self.log_dir is not None:
            prior = served_prior(group, self.book.prices(group))
            return make_scheduler(group.limits, group.policy, prior)
        times = KnownStepTimes(prices.seconds)
        return Scheduler(group.limits, make_policy(group.policy), times)
