"""Writes the plan folder: every file has a fixed name, see docs/guide/load-sheet.md."""

from dataclasses import dataclass
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.planner.plan import Plan
from loadsheet.planner.plan_json import to_json
from loadsheet.planner.problem import Problem, Progress
from loadsheet.planner.sheet.alerts import alerts
from loadsheet.planner.sheet.gantt import gantts_of
from loadsheet.planner.sheet.kubernetes import kubernetes
from loadsheet.planner.sheet.markdown import markdown
from loadsheet.planner.sheet.page import Sheet, page
from loadsheet.planner.sheet.pool import pools_of
from loadsheet.planner.sheet.roof_points import roofs_of
from loadsheet.planner.sheet.scripts import bench_script, run_script, vllm_script
from loadsheet.planner.sheet.signature import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of the question as text, kept beside the answer; None where there is none."""

    workload: str | None = None
    cluster: str | None = None


def sheet_of(plan: Plan, problem: Problem, signature: Signature, progress: Progress) -> Sheet:
    """Prices the roofline and replays a few seconds of every group."""
    roofs, points = roofs_of(plan, problem)
    gantts = gantts_of(
        plan, problem, lambda done, total: progress("replaying replicas", done, total)
    )
    return Sheet(
        plan=plan,
        signature=signature,
        pools=pools_of(plan, problem),
        roofs=roofs,
        points=points,
        gantts=gantts,
    )


def write_plan_folder(folder: Path, sheet: Sheet, problem: Problem, sources: Sources) -> list[str]:
    """The names of the files written. Raises ConfigError where the folder cannot be written."""
    plan = sheet.plan
    vendors = {offer.device.name: offer.device.vendor for offer in problem.offers}
    texts = {
        "plan.json": to_json(plan),
        "plan.html": page(sheet),
        "plan.md": markdown(plan, sheet.pools, sheet.signature),
        "k8s.yaml": kubernetes(plan, vendors),
        "prometheus-alerts.yaml": alerts(plan),
        "run.sh": run_script(plan),
        "run_vllm.sh": vllm_script(plan),
        "bench.sh": bench_script(plan) if sources.workload is not None else None,
        "workload.toml": sources.workload,
        "cluster.toml": sources.cluster,
    }
    written = {name: text for name, text in texts.items() if text is not None}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in texts.keys() - written.keys():
            (folder / name).unlink(missing_ok=True)  # of an earlier plan
        for name, text in written.items():
            (folder / name).write_text(text, encoding="utf-8")
            if name.endswith(".sh"):
                (folder / name).chmod(0o755)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error
    return list(written)
