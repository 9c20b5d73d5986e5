"""`k8s.yaml`: one pod per replica, with all of its models in one process.

A Kubernetes GPU is an integer: two pods cannot have half of one each, and what time-slices a GPU
between pods isolates neither memory nor time. So models that share a GPU share a pod.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from loadsheet.planner.plan import Plan, PlannedGroup
from loadsheet.planner.plan_json import to_json
from loadsheet.planner.sheet.launch import MODELS, Runner, runner, vllm_arguments
from loadsheet.planner.sheet.yaml_text import Yaml, yaml_text

_PORT = 8000
_IMAGES = {Runner.OURS: "loadsheet:latest", Runner.VLLM: "vllm/vllm-openai:latest"}
_CONFIG, _CLAIM = "loadsheet-plan", "models"
_RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "google": "google.com/tpu"}
_NOTE = """\
# One pod holds all models of a GPU: a Kubernetes GPU is an integer. Build the image from the
# Containerfile of loadsheet; the claim `models` has the weights, a folder per model.
"""


def kubernetes(plan: Plan, vendors: Mapping[str, str]) -> str:
    """A config map with the plan, a Service and a Deployment per group that something can run;
    `vendors` by device name."""
    documents: list[Mapping[str, Yaml]] = [_config_map(plan), _service()]
    notes = _NOTE
    for group in plan.groups:
        if runner(group) is Runner.NOBODY:
            notes += f"# {group.replicas.name} is left out: no server here runs such a group.\n"
            continue
        resource = _RESOURCES.get(vendors[group.replicas.device].lower())
        documents.append(_deployment(group, resource))
    return notes + yaml_text(documents)


def label(name: str) -> str:
    """A DNS label (RFC 1123): lower-case letters, digits and hyphens, at most 63."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].rstrip("-")


def _config_map(plan: Plan) -> dict[str, Yaml]:
    """What a server needs of the plan; a config map holds no more than 1 MiB."""
    kept = replace(plan, candidates=(), pareto=(), schedules=())
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _CONFIG, "labels": {"app": "loadsheet"}},
        "data": {"plan.json": to_json(kept)},
    }


def _service() -> dict[str, Yaml]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "loadsheet", "labels": {"app": "loadsheet"}},
        "spec": {
            "selector": {"app": "loadsheet"},
            "ports": [{"name": "http", "port": _PORT, "targetPort": "http"}],
        },
    }


def _deployment(group: PlannedGroup, resource: str | None) -> dict[str, Yaml]:
    name = label(group.replicas.name)
    labels: dict[str, Yaml] = {"app": "loadsheet", "group": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": group.replicas.num_replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [_container(group, resource)],
                    "volumes": [
                        {"name": "plan", "configMap": {"name": _CONFIG}},
                        {"name": "models", "persistentVolumeClaim": {"claimName": _CLAIM}},
                    ],
                },
            },
        },
    }


def _container(group: PlannedGroup, resource: str | None) -> dict[str, Yaml]:
    who, replicas = runner(group), group.replicas
    ours = ["serve", "/plan", "--group", replicas.name, "--models", MODELS, "--host", "0.0.0.0"]
    limits: dict[str, Yaml] = {} if resource is None else {resource: replicas.num_devices}
    return {
        "name": "server",
        "image": _IMAGES[who],
        "args": ours if who is Runner.OURS else vllm_arguments(group),
        "ports": [{"name": "http", "containerPort": _PORT}],
        "resources": {"limits": limits},
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 5},
        "volumeMounts": [
            {"name": "plan", "mountPath": "/plan", "readOnly": True},
            {"name": "models", "mountPath": MODELS, "readOnly": True},
        ],
    }
