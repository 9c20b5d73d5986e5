"""The numbers of a run, as data: one summary per phase and class, then the mix beside alone."""

from dataclasses import dataclass

from loadsheet.bench.load import Window
from loadsheet.bench.overhead import Overhead
from loadsheet.distribution import Distribution
from loadsheet.estimate import Estimate
from loadsheet.workload.request import RequestKind
from loadsheet.workload.slo import SLO


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests due in the window, by what became of them."""

    due: int
    ok: int
    refused: int
    errors: int
    timeouts: int
    unfinished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attainment:
    """How the objective of a class was kept; `is_met` compares with its percentile."""

    slo: SLO
    origin: str
    num_good: int
    share: float
    goodput_rps: float
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSummary:
    traffic: str
    kind: RequestKind
    model: str | None
    counts: Counts
    offered_rps: float | None
    latency: tuple[Distribution, ...]
    rates: dict[str, Estimate]
    attainment: Attainment
    tokens_per_chunk: float | None
    notes: tuple[str, ...]

    def distribution(self, name: str) -> Distribution | None:
        return next((item for item in self.latency if item.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSummary:
    """`joint_goodput_rps` adds the classes; `is_joint_met` needs every class to keep its own."""

    name: str
    window: Window
    classes: tuple[ClassSummary, ...]
    joint_goodput_rps: float
    is_joint_met: bool
    overhead: Overhead

    def find(self, traffic: str) -> ClassSummary | None:
        return next((item for item in self.classes if item.traffic == traffic), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interference:
    traffic: str
    metric: str
    quantile: str
    ratio: Estimate
    num: int  # values on the smaller side


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    phases: tuple[PhaseSummary, ...]
    interference: tuple[Interference, ...] = ()
    share_sum: Estimate | None = None
