"""One analytic plan: chat and pictures on rented L4 and H100, small models, no simulation."""

from dataclasses import replace

import pytest

from loadsheet.hardware.catalog import DeviceCatalog, with_price
from loadsheet.hardware.cluster import Cluster, Link, Node
from loadsheet.planner.make_plan import make_plan, silent
from loadsheet.planner.plan import Plan
from loadsheet.planner.plan_json import to_json
from loadsheet.planner.problem import Problem, problem_of
from loadsheet.planner.question import Question
from loadsheet.planner.sheet.folder import sheet_of
from loadsheet.planner.sheet.page import Sheet
from loadsheet.planner.sheet.signature import Signature
from loadsheet.workload.workload_file import parse_workload

WORKLOAD = {
    "name": "chat <and> pictures",
    "traffic": [
        {
            "name": "chat",
            "kind": "text",
            "model": "smollm2-1.7b",
            "arrivals": {"process": "poisson", "rate_rps": 1},
            "prompt_tokens": 300,
            "output_tokens": 100,
            "slo": {"ttft_s": 1.0, "tpot_s": 0.05},
        },
        {
            "name": "picture",
            "kind": "image",
            "model": "sd-1.5",
            "arrivals": {"process": "poisson", "rate_rps": 0.03},
            "width": 512,
            "height": 512,
            "slo": {"deadline_s": 12},
        },
    ],
}
SIGNATURE = Signature(who="A. Planner", when="2026-11-23 12:00 UTC", plan_digest="0" * 64)


@pytest.fixture(scope="session")
def question() -> Question:
    catalog = DeviceCatalog()
    network = Link(name="network", bytes_per_s=1e10, latency_s=1e-5)
    nodes = tuple(
        (
            Node(
                device=with_price(catalog.find(name), usd_per_hour),
                num_devices=1,
                network=network,
                name=name,
            ),
            4,
        )
        for name, usd_per_hour in (("l4", 0.7), ("h100-sxm", 2.5))
    )
    return Question(
        workload=parse_workload(WORKLOAD), cluster=Cluster(nodes=nodes, name="rented"), seeds=()
    )


@pytest.fixture(scope="session")
def problem(question) -> Problem:
    return problem_of(question, silent)


@pytest.fixture(scope="session")
def plan(question) -> Plan:
    return make_plan(question)


@pytest.fixture(scope="session")
def sheet(plan, problem) -> Sheet:
    return sheet_of(plan, problem, SIGNATURE, silent)


@pytest.fixture(scope="session")
def silo_plan(question) -> Plan:
    models = parse_workload(
        {
            **WORKLOAD,
            "model": [
                {"name": "smollm2-1.7b", "tp_sizes": [1], "may_share": False},
                {"name": "sd-1.5", "may_share": False},
            ],
        }
    ).models
    return make_plan(replace(question, workload=replace(question.workload, models=models)))


@pytest.fixture(scope="session")
def plan_text(plan) -> str:
    return to_json(plan)
