"""`loadsheet.plan`: which models on which devices, how many, at what cost.

import loadsheet as ls
report = ls.plan("workload.toml", "cluster.toml", analytic=True)
print(report.table())
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadsheet.cost.chart import Chart
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.cluster import Cluster, read_cluster
from loadsheet.planner.make_plan import make_plan, silent
from loadsheet.planner.plan import Plan
from loadsheet.planner.question import DEFAULT_SEEDS, Question, with_changes
from loadsheet.table import bullets, table
from loadsheet.workload.workload import Workload
from loadsheet.workload.workload_file import load_workload


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """`plan` holds all of it."""

    plan: Plan

    def table(self) -> str:
        rows = [
            [
                group.replicas.name,
                str(group.replicas.num_replicas),
                f"{group.utilisation:.0%}",
                f"{group.max_utilisation:.0%}",
                "" if group.usd_per_hour is None else f"{group.usd_per_hour:,.2f}",
            ]
            for group in self.plan.groups
        ]
        drawn = table(["group", "replicas", "busy", "allowed", "$/h"], rows)
        return f"{drawn}\n\n{bullets(self.plan.sentences)}"

    def plot(self) -> Chart:
        """Dollars (or devices, without prices) over the planned traffic."""
        lines: dict[str, list[tuple[float, float]]] = {}
        for point in self.plan.pareto:
            value = float(point.num_devices) if point.usd_per_hour is None else point.usd_per_hour
            kind = point.label.split()[0]
            lines.setdefault(kind, []).append((point.rate_factor, value))
        return Chart(
            title="what more traffic costs (computed)",
            x_label="times the planned traffic",
            y_label="$/h" if self.plan.usd_per_hour is not None else "devices",
            lines=lines,
            marks={},
        )


def plan(  # noqa: PLR0913 - keywords, each of one flag of the command
    workload: str | Workload,
    cluster: str | Path | Cluster,
    *,
    objective: str | None = None,
    analytic: bool = False,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    rates: Sequence[str] = (),
    lost: Sequence[str] = (),
    prices: Sequence[str] = (),
) -> PlanReport:
    """Files or objects. `analytic` leaves the simulated check out. What if: `rates=["x2"]`,
    `lost=["node-3"]`, `prices=["h100=2.1"]`, as the command has them.
    Raises InfeasibleError where no plan keeps every promise."""
    asked = load_workload(workload) if isinstance(workload, str) else workload
    if objective is not None:
        asked = replace(asked, planning=replace(asked.planning, objective=objective))
    devices = (
        cluster if isinstance(cluster, Cluster) else read_cluster(Path(cluster), DeviceCatalog())
    )
    question = Question(workload=asked, cluster=devices, seeds=() if analytic else tuple(seeds))
    return PlanReport(plan=make_plan(with_changes(question, rates, lost, prices), silent))
