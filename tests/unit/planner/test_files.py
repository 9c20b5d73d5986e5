"""The planning tables of a workload, clusters, and their schemas."""

import tomllib

import pytest
from jsonschema import Draft202012Validator

from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.cluster import cluster_schema, read_cluster
from loadsheet.workload.workload_file import read_workload, workload_schema

WORKLOAD = """
[plan]
objective = "devices"
spare_replicas = 1
[[model]]
name = "chat-8b"
source = "llama-3.1-8b"
dtypes = ["bf16", "fp8"]
may_share = false
[[traffic]]
name = "chat"
kind = "text"
model = "chat-8b"
arrivals = { process = "poisson", rate_rps = 2 }
"""
CLUSTER = """
[[node]]
name = "big"
device = "h100-sxm"
num_devices = 8
zone = "a"
may_stop = false
[[node]]
device = "l40s"
may_buy = true
usd_per_hour = 0.5
"""


@pytest.fixture
def write(tmp_path):
    def writer(text):
        path = tmp_path / "file.toml"
        path.write_text(text)
        return path

    return writer


def test_a_workload_says_how_to_plan(write):
    workload = read_workload(write(WORKLOAD))
    assert workload.planning.objective == "devices" and workload.planning.spare_replicas == 1
    (model,) = workload.models
    assert model.dtypes == ("bf16", "fp8") and not model.may_share
    Draft202012Validator(workload_schema()).validate(tomllib.loads(WORKLOAD))


def test_a_cluster_names_its_nodes(write):
    cluster = read_cluster(write(CLUSTER), DeviceCatalog())
    (big, _), (small, _) = cluster.nodes
    assert (big.name, big.zone, big.may_stop) == ("big", "a", False)
    assert small.name == "node-2" and cluster.unlimited == {"l40s"}
    Draft202012Validator(cluster_schema()).validate(tomllib.loads(CLUSTER))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spare_replicas", "spare_replica", "line 4: plan.spare_replica .* did you mean spare_r"),
        ('"devices"', '"joy"', "line 3: plan.objective is 'joy'"),
        ("dtypes", "dtype", r"line 8: model\[0\].dtype .* did you mean dtypes"),
        ("rate_rps", "rate", r"line 14: traffic\[0\].arrivals.rate .* did you mean"),
    ],
)
def test_wrong_workloads_name_the_line(write, old, new, message):
    with pytest.raises(ConfigError, match=message):
        read_workload(write(WORKLOAD.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("zone", "zonne", r"line 6: node\[0\].zonne is not a setting; did you mean zone"),
        ("h100-sxm", "h1oo-sxm", r"line 4: node\[0\].device names no device: .*nearest"),
        ("= 0.5", "= -1", r"line 11: node\[1\].usd_per_hour is -1"),
        ("num_devices = 8", "num_devices = 0", "line 5: .*num_devices is 0"),
    ],
)
def test_wrong_clusters_name_the_line(write, old, new, message):
    with pytest.raises(ConfigError, match=message):
        read_cluster(write(CLUSTER.replace(old, new, 1)), DeviceCatalog())
