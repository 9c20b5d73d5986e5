"""What a simulation found, as data: per class, per replica and in all. All of it is simulated."""

from dataclasses import dataclass

from loadsheet.distribution import Distribution
from loadsheet.estimate import Estimate
from loadsheet.sched.plan import StepKind
from loadsheet.sim.record import Record
from loadsheet.sim.span import Span
from loadsheet.workload.request import RequestKind
from loadsheet.workload.slo import SLO, EncodeSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests due in the window, by what became of them."""

    due: int
    served: int
    rejected: int
    lost: int
    unfinished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassResult:
    """One class of traffic over the requests due in the window. `attainment` is the share of them
    that kept every promise, `is_met` compares it with the SLO's percentile; `latency` holds ttft_s,
    tpot_s, e2e_s of text, time_to_image_s of images, e2e_s of encoders. A class of which nothing
    was due is met, with an attainment of 1."""

    name: str
    kind: RequestKind
    model: str
    slo: SLO | EncodeSLO
    counts: Counts
    num_good: int
    attainment: float
    is_met: bool
    offered_rps: float
    goodput_rps: Estimate
    latency: tuple[Distribution, ...]

    def distribution(self, name: str) -> Distribution | None:
        return next((item for item in self.latency if item.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySample:
    """What is in use at `at_s`: blocks by text model, bytes of latents by image model, requests
    inside. Taken when the replica decides."""

    at_s: float
    used_blocks: dict[str, int]
    used_bytes: dict[str, int]
    num_inside: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaResult:
    """`up_s` is the time in the window for which the replica is paid, `busy_s` of it by kind of
    step. Energy is `power_w` of its devices while busy and an idle share otherwise; `cost_usd` is
    None where the device has no price. `spans` are the steps that ran, if they were asked for."""

    name: str
    group: str
    num_devices: int
    up_s: float
    busy_s: dict[StepKind, float]
    num_steps: int
    num_failures: int
    energy_j: float
    cost_usd: float | None
    memory: tuple[MemorySample, ...]
    spans: tuple[Span, ...] = ()

    @property
    def utilisation(self) -> float:
        """Busy share of the time it is up; up to the number of lanes."""
        return sum(self.busy_s.values()) / self.up_s if self.up_s else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimResult:
    """Requests due in [warmup_s, warmup_s + seconds) count; all of them are in `records`.

    `joint_goodput_rps` adds the classes; `is_joint_met` needs every class to keep its own promise.
    `itl` is the gap between tokens by text model, pooled over all its streams in the whole run.
    """

    seconds: float
    warmup_s: float
    seed: int
    classes: tuple[ClassResult, ...]
    itl: dict[str, Distribution]
    joint_goodput_rps: float
    is_joint_met: bool
    replicas: tuple[ReplicaResult, ...]
    energy_j: float
    cost_usd: float | None
    end_s: float
    records: tuple[Record, ...]

    def find(self, name: str) -> ClassResult | None:
        return next((item for item in self.classes if item.name == name), None)
