"""Small questions with catalogue models: one chat class, one picture class."""

import pytest

from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.cluster import Cluster, Link, Node
from loadsheet.planner.question import Question
from loadsheet.workload.arrivals import OpenLoop
from loadsheet.workload.lengths import Fixed
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import ImageTraffic, TextTraffic
from loadsheet.workload.workload import Workload

NETWORK = Link(name="network", bytes_per_s=12.5e9, latency_s=1e-5)


@pytest.fixture
def chat():
    return TextTraffic(
        name="chat",
        model="smollm2-135m",
        arrivals=OpenLoop(rate_rps=6.0),
        prompt_tokens=Fixed(value=300),
        output_tokens=Fixed(value=60),
        slo=TextSLO(ttft_s=1.0, tpot_s=0.05),
    )


@pytest.fixture
def pictures():
    return ImageTraffic(
        name="pictures",
        model="sd-1.5",
        arrivals=OpenLoop(rate_rps=0.8),
        num_steps=Fixed(value=20),
        slo=ImageSLO(deadline_s=6.0),
    )


@pytest.fixture
def cluster():
    catalog = DeviceCatalog()
    nodes = [
        Node(device=catalog.find(name), num_devices=4, network=NETWORK, name=name, zone=zone)
        for name, zone in (("h100-sxm-80gb", "a"), ("l40s", "b"))
    ]
    return Cluster(nodes=tuple((node, 1) for node in nodes), name="two kinds")


@pytest.fixture
def question(chat, pictures, cluster):
    workload = Workload(name="chat and pictures", traffic=(chat, pictures))
    return Question(workload=workload, cluster=cluster, seeds=())
