"""Alerts: rules that Prometheus reads, over series that the server exports."""

import re

import yaml
from prometheus_client import CollectorRegistry

from loadsheet.planner.sheet.alerts import alerts
from loadsheet.server.prometheus import Telemetry


def rules(plan):
    (group,) = yaml.safe_load(alerts(plan))["groups"]
    return group["rules"]


def test_every_rule_is_complete(plan):
    for rule in rules(plan):
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[A-Za-z]\w*", rule["alert"]) and re.fullmatch(r"\d+m", rule["for"])
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_series_are_exported(plan):
    exported = Telemetry(CollectorRegistry()).exposition().decode()
    gauges = {"loadsheet:up", "vllm:kv_cache_usage_perc"}
    named = {name for rule in rules(plan) for name in re.findall(r"[a-z]+:[a-z_]+", rule["expr"])}
    for name in named - gauges:
        assert f"# TYPE {name.removesuffix('_bucket')} " in exported, name


def test_promises_and_the_end_of_the_plan_are_watched(plan):
    text = [rule["expr"] for rule in rules(plan)]
    assert any("time_to_first_token" in one and one.endswith("> 1") for one in text)
    assert any(one.endswith("< 0.95") for one in text)
    planned = next(one.planned_rps for one in plan.classes if one.kind == "image")
    limits = [float(one.rsplit("> ", 1)[1]) for one in text if "sd-1.5" in one and "> " in one]
    assert limits and min(limits) > planned
