"""What happens to a deployment besides its load: noise, slow and failing devices, scaling.

Replicas are named `GROUP-0`, `GROUP-1`, … as the results do.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from loadsheet.errors import ConfigError


class OnFailure(StrEnum):
    REROUTE = "reroute"  # its requests start again elsewhere
    LOSE = "lose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """Every step of `replica` takes `slowdown` times its price, and the router does not know."""

    replica: str
    slowdown: float

    def __post_init__(self) -> None:
        if not 0 < self.slowdown < float("inf"):
            raise ConfigError(f"slowdown of {self.replica} is {self.slowdown}; give above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`replica` dies at `at_s` and starts again `repair_s` later, cold; infinity: never."""

    replica: str
    at_s: float
    repair_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.at_s < float("inf") or not self.repair_s >= 0:
            raise ConfigError(
                f"{self.replica} fails at {self.at_s} s for {self.repair_s} s; give 0 or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """From the order of a replica to its first request: `base_s` (node, container, process,
    warm-up) and its weights at `bytes_per_s` per device, or the device's host link where that is
    slower. An adapter that a replica wears for the first time takes `adapter_s`, and `max_adapters`
    stay loaded. The defaults are guesses of a warm node with weights on a local disk."""

    base_s: float = 20.0
    bytes_per_s: float = 2e9
    adapter_s: float = 0.5
    max_adapters: int = 8

    def __post_init__(self) -> None:
        if self.base_s < 0 or self.adapter_s < 0 or self.bytes_per_s <= 0 or self.max_adapters < 1:
            raise ConfigError(
                f"start-up of {self.base_s} s at {self.bytes_per_s} bytes/s, adapters "
                f"{self.adapter_s} s, {self.max_adapters} kept; give times of 0 or more, the rest "
                "above 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactive:
    """Every `interval_s`, replicas for `target` requests inside each on average, between `low` and
    `high` of them. Down only by what `hold` decisions in a row wanted: hysteresis.

    Requests inside, not busy time, because a device that decodes for one stream is as busy as for
    thirty (Ray Serve scales by the same figure).
    """

    group: str
    target: float
    low: int = 1
    high: int = 64
    interval_s: float = 10.0
    hold: int = 6

    def __post_init__(self) -> None:
        if not self.target > 0 or not 1 <= self.low <= self.high:
            raise ConfigError(
                f"autoscaler of {self.group}: target {self.target}, {self.low} to {self.high} "
                "replicas; give a target above 0 and 1 <= low <= high"
            )
        if self.interval_s <= 0 or self.hold < 1:
            raise ConfigError(
                f"autoscaler of {self.group}: interval_s {self.interval_s}, hold {self.hold}; "
                "give both above 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """From each time on so many replicas are wanted; they are ordered then, not before."""

    group: str
    steps: tuple[tuple[float, int], ...]

    def __post_init__(self) -> None:
        times = [at_s for at_s, _ in self.steps]
        if not times or times != sorted(times) or times[0] < 0:
            raise ConfigError(f"schedule of {self.group}: times {times} must ascend from 0 or more")
        if any(count < 0 for _, count in self.steps):
            raise ConfigError(f"schedule of {self.group} asks for fewer than 0 replicas")


Autoscaler = Reactive | Scheduled


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`noise_cv` is the coefficient of variation of a log-normal factor of mean 1 on every step.

    `step_by_step` takes no jumps, which changes nothing but the time it takes; `has_learning` runs
    the scheduler with step times that it learns, as the server does, instead of known ones.
    """

    noise_cv: float = 0.0
    stragglers: tuple[Straggler, ...] = ()
    failures: tuple[Failure, ...] = ()
    on_failure: OnFailure = OnFailure.REROUTE
    startup: Startup = field(default_factory=Startup)
    autoscalers: tuple[Autoscaler, ...] = ()
    step_by_step: bool = False
    has_learning: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.noise_cv < 10:
            raise ConfigError(f"noise_cv is {self.noise_cv}; give 0 or more, below 10")
        groups = [one.group for one in self.autoscalers]
        if len(set(groups)) < len(groups):
            raise ConfigError(f"a group has two autoscalers: {', '.join(groups)}")
