"""`loadsheet plan`: which models on which devices, how many, at what cost; and what if.

loadsheet plan --workload chat.toml --cluster fleet.toml --out plan
"""

import argparse
import sys
from dataclasses import replace
from datetime import datetime
from getpass import getuser
from pathlib import Path

from rich.console import Console

from loadsheet.cli.plan_table import print_plan
from loadsheet.cli.planning_progress import PlanningProgress
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.cluster import read_cluster
from loadsheet.planner.make_plan import make_plan, silent
from loadsheet.planner.plan import Objective, Plan
from loadsheet.planner.plan_json import to_json
from loadsheet.planner.problem import Progress, problem_of
from loadsheet.planner.question import DEFAULT_SEEDS, Question, with_changes
from loadsheet.planner.sheet.folder import Sources, sheet_of, write_plan_folder
from loadsheet.planner.sheet.signature import sign
from loadsheet.workload.workload_file import load_workload


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workload", required=True, metavar="FILE", help="classes and promises")
    parser.add_argument(
        "--cluster", required=True, type=Path, metavar="FILE", help="devices that may be used"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the plan")
    parser.add_argument("--objective", choices=[str(one) for one in Objective])
    parser.add_argument(
        "--spare", type=int, metavar="N", help="replicas of each group that may fail (1: N-1)"
    )
    parser.add_argument("--analytic", action="store_true", help="closed forms only, in seconds")
    parser.add_argument(
        "--seeds", type=int, default=len(DEFAULT_SEEDS), help="simulations of a plan (%(default)s)"
    )
    parser.add_argument("--signed-by", metavar="NAME", help="on the load sheet (the user's name)")
    parser.add_argument("--json", action="store_true", help="print plan.json")
    change = parser.add_argument_group("what if")
    for flag, shown, words in (
        ("--rate", "x2|CLASS=x2|CLASS=3.5", "other traffic"),
        ("--lose", "NODE|ZONE", "fewer devices"),
        ("--price", "DEVICE=DOLLARS", "other prices, per device and hour"),
    ):
        change.add_argument(
            flag, action="append", default=[], metavar=shown, help=f"{words}; repeat at will"
        )


def run(arguments: argparse.Namespace) -> int:
    question = _question(arguments)
    with PlanningProgress() as progress:
        plan = make_plan(question, progress)
        if arguments.out is not None:
            _write(arguments, question, plan, progress)
    if arguments.json:
        sys.stdout.write(to_json(plan))
    else:
        print_plan(Console(), plan)
        if arguments.out is not None:
            print(f"\nThe load sheet: {arguments.out / 'plan.html'}")
    return 0 if plan.is_checked is not False else 1


def _question(arguments: argparse.Namespace) -> Question:
    workload = load_workload(arguments.workload)
    planning = workload.planning
    if arguments.objective is not None:
        planning = replace(planning, objective=arguments.objective)
    if arguments.spare is not None:
        planning = replace(planning, spare_replicas=arguments.spare)
    if not 1 <= arguments.seeds <= 100:
        raise ConfigError(f"--seeds is {arguments.seeds}; give 1 to 100, or --analytic for none")
    question = Question(
        workload=replace(workload, planning=planning),
        cluster=read_cluster(arguments.cluster, DeviceCatalog()),
        seeds=() if arguments.analytic else tuple(range(arguments.seeds)),
    )
    return with_changes(question, arguments.rate, arguments.lose, arguments.price)


def _write(
    arguments: argparse.Namespace, question: Question, plan: Plan, progress: Progress
) -> None:
    now = datetime.now().astimezone()
    signature = sign(to_json(plan), arguments.signed_by or getuser(), now)
    problem = problem_of(question, silent)
    sheet = sheet_of(plan, problem, signature, progress)
    sources = Sources(workload=_text(arguments.workload), cluster=_text(arguments.cluster))
    write_plan_folder(arguments.out, sheet, problem, sources)


def _text(name: str | Path) -> str | None:
    """None of a workload that is shipped: it has a name instead of a file."""
    return Path(name).read_text(encoding="utf-8") if Path(name).is_file() else None
