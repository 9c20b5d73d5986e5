"""`loadsheet.simulate`: what a deployment would do under a workload.

import loadsheet as ls
print(ls.simulate("quick", text="smollm2-135m", image="sd-1.5", device="l4", seconds=60).table())
"""

from dataclasses import dataclass
from pathlib import Path

from loadsheet.api.fleet import FleetFlags, fleet_of, fleet_of_plan
from loadsheet.api.model import DEFAULT_DEVICE
from loadsheet.cost.chart import Chart
from loadsheet.errors import ConfigError
from loadsheet.sim.deployment import Deployment
from loadsheet.sim.plan_simulation import Simulator
from loadsheet.sim.price_book import PriceBook
from loadsheet.sim.record import Fate
from loadsheet.sim.result import ClassResult, SimResult
from loadsheet.sim.scenario import Scenario
from loadsheet.sim.summary_document import summary_document
from loadsheet.table import table
from loadsheet.units import format_seconds
from loadsheet.workload.request import RequestKind
from loadsheet.workload.workload import Workload
from loadsheet.workload.workload_file import load_workload

_CURVE_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationReport:
    """`result` holds all of it; every number is simulated."""

    deployment: Deployment
    result: SimResult

    def table(self) -> str:
        head = ["class (simulated)", "due", "in time", "goodput/s", "metric", "p50", "p95", "p99"]
        return table(head, [row for one in self.result.classes for row in _rows(one)])

    def plot(self) -> Chart:
        """Of each class, the share of its requests whose first token or image takes longer."""
        lines = {one.name: _tail(self.result, one) for one in self.result.classes}
        return Chart(
            title="first token, whole image (simulated)",
            x_label="seconds",
            y_label="share of requests that take longer",
            lines={name: points for name, points in lines.items() if points},
            marks={},
        )

    def as_dict(self) -> dict[str, object]:
        return summary_document(self.result)


def simulate(  # noqa: PLR0913 - keywords are the interface; a dataclass would only rename them
    workload: str | Workload,
    *,
    plan: str | Path | None = None,
    text: str | None = None,
    image: str | None = None,
    device: str = DEFAULT_DEVICE,
    dtype: str = "bf16",
    replicas: int = 1,
    tp: int = 1,
    apart: bool = False,
    policy: str | None = None,
    seconds: float | None = None,
    warmup: float | None = None,
    seed: int | None = None,
    scenario: Scenario | None = None,
) -> SimulationReport:
    """Simulate `workload` (a file, the name of a shipped one, or a Workload) on a `plan` folder, or
    on `replicas` devices that hold the `text` and `image` models together, or each its own
    (`apart`). Requests due in `seconds` after `warmup` count; None takes the workload's own.
    """
    load = load_workload(workload) if isinstance(workload, str) else workload
    book = PriceBook()
    if plan is not None:
        if text or image:
            raise ConfigError("a plan names its models; give a plan or models, not both")
        deployment = fleet_of_plan(Path(plan), policy)
    else:
        flags = FleetFlags(
            models=tuple(name for name in (text, image) if name),
            device=device,
            dtype=dtype,
            replicas=replicas,
            tp=tp,
            apart=apart,
            policy=policy,
        )
        deployment = fleet_of(flags, load, book)
    result = Simulator(scenario=scenario or Scenario(), book=book).run(
        deployment,
        load,
        seconds=load.run.duration_s if seconds is None else seconds,
        warmup=load.run.warmup_s if warmup is None else warmup,
        seed=load.seed if seed is None else seed,
    )
    return SimulationReport(deployment=deployment, result=result)


def _rows(one: ClassResult) -> list[list[str]]:
    """A line per metric; the class's own figures on the first."""
    facts = [
        one.name,
        f"{one.counts.due:,}",
        f"{one.attainment:.1%}",
        f"{one.goodput_rps.value:.3g}",
    ]
    rows: list[list[str]] = []
    for item in one.latency:
        cells = [format_seconds(item.quantiles[label].value) for label in ("p50", "p95", "p99")]
        rows.append([*(facts if not rows else ["", "", "", ""]), item.name, *cells])
    return rows or [[*facts, "nothing served", "", "", ""]]


def _tail(result: SimResult, one: ClassResult) -> list[tuple[float, float]]:
    """At most `_CURVE_POINTS` of (seconds, share that takes longer)."""
    values = sorted(
        (record.end_s if one.kind is not RequestKind.TEXT else record.first_s)
        - record.job.request.arrival_s
        for record in result.records
        if record.job.class_name == one.name
        and record.fate is Fate.SERVED
        and result.warmup_s <= record.job.request.arrival_s < result.warmup_s + result.seconds
    )
    num = len(values)
    places = range(0, num, max(1, num // _CURVE_POINTS))
    return [(values[place], (num - place) / num) for place in places if values[place] > 0]
