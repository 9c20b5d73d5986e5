"""What a planner decided and why, as plain data: all of `plan.json`.

    Plan ── inputs, sentences
      ├── groups ──► PlannedGroup: replicas (sim/deployment.py), ledger of one device, load
      ├── classes ─► ClassForecast: promise, demand, latencies with bands
      ├── sharing ─► silo beside shared, and why one wins
      ├── candidates, pareto, losses, schedule

Times are seconds, money US dollars, `rps` requests per second. A `Figure` says where it comes from.
"""

from dataclasses import dataclass
from enum import StrEnum

from loadsheet.cost.ledger import LedgerLine
from loadsheet.sim.deployment import Deployment, ReplicaGroup
from loadsheet.workload.request import RequestKind

SCHEMA_VERSION = 1


class Source(StrEnum):
    """Where a number comes from."""

    GIVEN = "given"  # by the files or flags of the user
    CATALOGUE = "catalogue"
    COMPUTED = "computed"  # closed form
    SIMULATED = "simulated"


class Objective(StrEnum):
    COST = "cost"  # fewest dollars per hour
    DEVICES = "devices"  # fewest devices
    GOODPUT = "goodput"  # most traffic on the given devices


class Standing(StrEnum):
    """What became of a candidate."""

    CHOSEN = "chosen"
    FEASIBLE = "feasible"  # could serve, is not in the cheapest plan
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`low` and `high` are its 95 % band, None where nothing tells it; `how` names the formula, the
    file or the runs behind it."""

    value: float
    source: Source
    how: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What was asked. `changes` are the what-if flags as given; `digest` is the SHA-256 of the
    resolved workload, cluster and options, so equal digests mean equal questions."""

    workload: str
    cluster: str
    objective: Objective
    demand_percentile: float
    spare_replicas: int
    changes: tuple[str, ...]
    seeds: tuple[int, ...]  # of the simulated check; empty in analytic mode
    digest: str
    made_with: str  # loadsheet's version


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLoad:
    """A class on one group: requests per second sent there, a replica's seconds for each."""

    name: str
    rate_rps: float
    seconds_per_request: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGroup:
    """Equal replicas and what they carry. Of each replica's time, decoding takes `decode_tax`
    whatever the load, and at most `max_utilisation` may be used in all:

        decode_tax + Σ rate_rps · seconds_per_request / num_replicas ≤ max_utilisation

    `ledger` is of one device, whose size is `memory_bytes`; `usd_per_hour` of the group, None
    without a price; `power_w` of the group at full load.
    """

    replicas: ReplicaGroup
    num_devices: int
    ledger: tuple[LedgerLine, ...]
    memory_bytes: int
    loads: tuple[ClassLoad, ...]
    decode_tax: float
    max_utilisation: float
    utilisation: float
    usd_per_hour: float | None
    power_w: float
    why: str  # one computed sentence

    @property
    def used_bytes(self) -> int:
        return sum(line.num_bytes for line in self.ledger)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyForecast:
    """`metric` is ttft_s, tpot_s, time_to_image_s or e2e_s; `limit_s` what was promised of it, at
    the class's percentile (`at_slo`)."""

    metric: str
    limit_s: float
    p50: Figure
    p95: Figure
    p99: Figure
    at_slo: Figure

    @property
    def is_met(self) -> bool:
        return self.at_slo.value <= self.limit_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassForecast:
    """`mean_rps` over the day, `planned_rps` at the demand percentile. `attainment` is the share of
    requests that keep every promise at once; `percentile` of them have to."""

    name: str
    kind: RequestKind
    model: str
    percentile: float
    mean_rps: float
    planned_rps: float
    latencies: tuple[LatencyForecast, ...]
    attainment: Figure
    goodput_rps: Figure

    @property
    def is_met(self) -> bool:
        return self.attainment.value >= self.percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One configuration of one replica. `reason` says why it was rejected or not chosen, with the
    numbers; `max_rps` is what one replica serves of each class by itself, inside its promises."""

    name: str
    device: str
    models: tuple[str, ...]
    tp: int
    dtype: str
    is_shared: bool
    standing: Standing
    reason: str
    max_rps: dict[str, float]
    decode_tax: float
    usd_per_hour: float | None
    used_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """A cheapest plan for `rate_factor` times the planned traffic, silo or shared."""

    label: str
    rate_factor: float
    is_shared: bool
    usd_per_hour: float | None
    num_devices: int
    power_w: float
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The best plan of one kind. `num_devices` is None where there is none; `reason` says why."""

    num_devices: int | None
    usd_per_hour: float | None
    is_checked: bool  # by simulation, and met
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Models alone on their devices (`silo`) beside models that may share (`shared`)."""

    silo: Alternative
    shared: Alternative
    is_shared: bool  # what was chosen
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is left when one replica of `group` fails: classes whose demand no longer fits."""

    group: str
    served_share: float  # of the planned traffic that still fits, at most 1
    broken: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """Devices in use and dollars of one hour."""

    hour: int
    rate_factor: float  # of the planned traffic
    optimal: int
    reactive: int
    static: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Replicas of one group over a day; costs include switching. `missed_hours` of the reactive
    policy are hours that began with less than needed."""

    group: str
    lead_s: float
    hours: tuple[Hour, ...]
    optimal_usd: float
    reactive_usd: float
    static_usd: float
    reactive_missed_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`is_checked` says whether the simulation confirmed every promise; None when none was run."""

    schema_version: int
    inputs: Inputs
    sentences: tuple[str, ...]
    groups: tuple[PlannedGroup, ...]
    router: str
    classes: tuple[ClassForecast, ...]
    num_devices: Figure
    usd_per_hour: Figure | None
    power_w: Figure
    goodput_rps: Figure
    is_checked: bool | None
    sharing: Sharing
    candidates: tuple[Candidate, ...]
    pareto: tuple[ParetoPoint, ...]
    losses: tuple[Loss, ...]
    schedules: tuple[Schedule, ...]
    notes: tuple[str, ...]

    @property
    def deployment(self) -> Deployment:
        """What a simulator or a server takes."""
        return Deployment(groups=tuple(one.replicas for one in self.groups), router=self.router)
