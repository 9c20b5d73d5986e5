"""k8s.yaml against the fields that the API server requires and knows.

The shapes are those of apps/v1 Deployment, v1 Service and v1 ConfigMap in the published OpenAPI
document, cut down to what is written here; a key that is not listed is an error, as with
`kubectl apply --validate=strict`.
"""

import re
from dataclasses import replace

import pytest
import yaml

from loadsheet.planner.plan_json import from_json
from loadsheet.planner.sheet.kubernetes import kubernetes, label
from loadsheet.planner.sheet.launch import Runner, runner
from loadsheet.sched.limits import TextLimits
from loadsheet.sim.deployment import ResidentModel

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
VENDORS = {"l4": "NVIDIA", "h100-sxm-80gb": "NVIDIA", "cpu": "somebody"}
META = {"name": str, "labels?": {"*": str}}
CONTAINER = {
    "name": str,
    "image": str,
    "args": [str],
    "ports": [{"name": str, "containerPort": int}],
    "resources": {"limits": {"*": int}},
    "readinessProbe": {"httpGet": {"path": str, "port": str}, "periodSeconds": int},
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly?": bool}],
}
VOLUME = {
    "name": str,
    "configMap?": {"name": str},
    "persistentVolumeClaim?": {"claimName": str},
}
KINDS = {
    "ConfigMap": {"apiVersion": str, "kind": str, "metadata": META, "data": {"*": str}},
    "Service": {
        "apiVersion": str,
        "kind": str,
        "metadata": META,
        "spec": {
            "selector": {"*": str},
            "ports": [{"name": str, "port": int, "targetPort": str}],
        },
    },
    "Deployment": {
        "apiVersion": str,
        "kind": str,
        "metadata": META,
        "spec": {
            "replicas": int,
            "selector": {"matchLabels": {"*": str}},
            "template": {
                "metadata": {"labels": {"*": str}},
                "spec": {"containers": [CONTAINER], "volumes": [VOLUME]},
            },
        },
    },
}
VERSIONS = {"ConfigMap": "v1", "Service": "v1", "Deployment": "apps/v1"}


def check(value, shape, where="") -> None:
    if isinstance(shape, list):
        assert isinstance(value, list) and value, where
        for index, item in enumerate(value):
            check(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, dict):
        assert isinstance(value, dict), where
        if "*" in shape:
            for key, item in value.items():
                check(item, shape["*"], f"{where}.{key}")
            return
        known = {key.rstrip("?") for key in shape}
        assert set(value) <= known, f"{where}: {set(value) - known}"
        for key, inner in shape.items():
            name = key.rstrip("?")
            if name in value:
                check(value[name], inner, f"{where}.{name}")
            else:
                assert key.endswith("?"), f"{where}: no {name}"
    else:
        assert type(value) is shape, f"{where} is {value!r}"


@pytest.fixture
def documents(plan):
    return list(yaml.safe_load_all(kubernetes(plan, VENDORS)))


def test_shapes_are_what_the_api_server_knows(documents):
    for document in documents:
        check(document, KINDS[document["kind"]], document["kind"])
        assert document["apiVersion"] == VERSIONS[document["kind"]]
        assert NAME.fullmatch(document["metadata"]["name"])


def test_the_check_refuses_what_it_should(documents):
    broken = dict(documents[-1])
    broken["spce"] = broken.pop("spec")
    with pytest.raises(AssertionError):
        check(broken, KINDS["Deployment"])


def deployments(documents):
    return [one for one in documents if one["kind"] == "Deployment"]


def test_references_inside_hold(documents):
    held = {one["metadata"]["name"] for one in documents if one["kind"] == "ConfigMap"}
    (service,) = (one for one in documents if one["kind"] == "Service")
    for one in deployments(documents):
        template = one["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert service["spec"]["selector"].items() <= labels.items()
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        (container,) = template["spec"]["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
        assert volumes["plan"]["configMap"]["name"] in held
        assert container["ports"][0]["name"] == container["readinessProbe"]["httpGet"]["port"]


def test_a_shared_gpu_is_one_pod_with_both_models(plan, documents):
    shared = next(group for group in plan.groups if len(group.replicas.models) == 2)
    one = next(
        item
        for item in deployments(documents)
        if item["metadata"]["name"] == label(shared.replicas.name)
    )
    assert one["spec"]["replicas"] == shared.replicas.num_replicas
    (container,) = one["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert container["args"][:4] == ["serve", "/plan", "--group", shared.replicas.name]


def test_the_pod_gets_a_plan_that_can_be_read(plan, documents):
    config = next(one for one in documents if one["kind"] == "ConfigMap")
    assert from_json(config["data"]["plan.json"]).groups == plan.groups


def test_models_alone_are_pods_of_their_own(silo_plan):
    documents = list(yaml.safe_load_all(kubernetes(silo_plan, VENDORS)))
    names = {one["metadata"]["name"] for one in deployments(documents)}
    assert names == {label(group.replicas.name) for group in silo_plan.groups} and len(names) == 2


def test_several_devices_are_left_to_vllm(silo_plan):
    text = next(group for group in silo_plan.groups if group.replicas.text)
    wide = replace(text, replicas=replace(text.replicas, tp=4))
    assert runner(wide) is Runner.VLLM
    documents = yaml.safe_load_all(kubernetes(replace(silo_plan, groups=(wide,)), VENDORS))
    (one,) = deployments(list(documents))
    (container,) = one["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 4}
    assert "--tensor-parallel-size=4" in container["args"]


def test_what_nothing_can_run_is_said_to_be_left_out(silo_plan):
    text = next(group for group in silo_plan.groups if group.replicas.text)
    second = replace(
        text.replicas,
        models=(*text.replicas.models, ResidentModel(name="other")),
        text=(*text.replicas.text, TextLimits(model="other", num_blocks=1)),
    )
    left = replace(text, replicas=second)
    written = kubernetes(replace(silo_plan, groups=(left,)), VENDORS)
    assert deployments(list(yaml.safe_load_all(written))) == []
    assert f"# {left.replicas.name} is left out" in written
