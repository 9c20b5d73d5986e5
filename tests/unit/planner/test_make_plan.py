"""Whole plans on small questions, by closed form and simulated."""

from dataclasses import replace

import pytest

from loadsheet.errors import ConfigError, InfeasibleError
from loadsheet.planner.make_plan import make_plan
from loadsheet.planner.plan import Objective, Source, Standing
from loadsheet.planner.plan_json import from_json, to_json
from loadsheet.planner.question import scaled, with_changes
from loadsheet.workload.arrivals import OpenLoop
from loadsheet.workload.planning import Planning
from loadsheet.workload.rhythm import Week
from loadsheet.workload.slo import TextSLO


def test_a_plan_serves_everything_and_fits(question):
    plan = make_plan(question)
    served = {}
    for group in plan.groups:
        assert group.used_bytes <= group.memory_bytes
        assert group.utilisation <= group.max_utilisation * (1 + 1e-6)
        load = sum(one.rate_rps * one.seconds_per_request for one in group.loads)
        count = group.replicas.num_replicas
        assert group.utilisation == pytest.approx(group.decode_tax + load / count)
        for one in group.loads:
            served[one.name] = served.get(one.name, 0.0) + one.rate_rps
    for one in plan.classes:
        assert one.planned_rps > one.mean_rps
        assert served[one.name] == pytest.approx(one.planned_rps, rel=1e-5)
    assert plan.usd_per_hour is not None
    assert plan.usd_per_hour.value == pytest.approx(sum(one.usd_per_hour for one in plan.groups))
    assert plan.is_checked is None
    assert {one.attainment.source for one in plan.classes} == {Source.COMPUTED}


def test_the_same_question_has_the_same_plan(question):
    assert to_json(make_plan(question)) == to_json(make_plan(question))


def test_a_plan_survives_json(question):
    plan = make_plan(question)
    assert from_json(to_json(plan)) == plan


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema_version": 1', '"schema_version": 7', "schema_version 7"),
        ('"router"', '"rooter"', "unknown 'rooter'"),
        ('"objective": "cost"', '"objective": "joy"', "known: cost"),
        ('"tp": 1', '"tp": "one"', "expected int"),
    ],
)
def test_changed_plans_are_refused(question, old, new, message):
    text = to_json(make_plan(question))
    assert old in text
    with pytest.raises(ConfigError, match=message):
        from_json(text.replace(old, new))


def test_the_simulation_confirms_the_plan(question):
    plan = make_plan(replace(question, seeds=(0, 1), max_requests=300))
    assert plan.is_checked is True
    assert all(one.is_met for one in plan.classes)
    assert {one.attainment.source for one in plan.classes} == {Source.SIMULATED}


def test_more_traffic_costs_more(question):
    costs = [
        make_plan(with_changes(question, rates=[f"x{factor}"])).usd_per_hour for factor in (1, 8)
    ]
    assert costs[0] is not None and costs[1] is not None
    assert costs[1].value > costs[0].value


def test_prices_decide_between_devices(question):
    cheap_hopper = make_plan(with_changes(question, prices=["h100=0.01"]))
    assert {group.replicas.device for group in cheap_hopper.groups} == {"h100-sxm-80gb"}
    dear_hopper = make_plan(with_changes(question, prices=["h100=100"]))
    assert {group.replicas.device for group in dear_hopper.groups} == {"l40s"}


def test_a_lost_zone_is_not_planned_with(question):
    plan = make_plan(with_changes(question, lost=["b"]))
    assert {group.replicas.device for group in plan.groups} == {"h100-sxm-80gb"}
    assert plan.inputs.changes == ("--lose b",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates": ["chatt=x2"]}, "there are chat, pictures"),
        ({"rates": ["x0"]}, "give x2"),
        ({"lost": ["node-9"]}, "there are h100-sxm-80gb, l40s, zone a, zone b"),
        ({"prices": ["tpu=1"]}, "there are h100-sxm-80gb, l40s"),
        ({"prices": ["l40s=cheap"]}, "DEVICE=DOLLARS"),
    ],
)
def test_wrong_changes_name_what_there_is(question, changes, message):
    with pytest.raises(ConfigError, match=message):
        with_changes(question, **changes)


def test_spare_replicas_survive_a_loss(question):
    workload = replace(question.workload, planning=Planning(spare_replicas=1))
    plan = make_plan(replace(question, workload=workload))
    assert all(group.replicas.num_replicas >= 2 for group in plan.groups)
    assert all(loss.served_share >= 1 - 1e-6 and not loss.broken for loss in plan.losses)


def test_without_spares_the_loss_of_a_lone_replica_breaks_its_classes(question):
    plan = make_plan(question)
    alone = [group for group in plan.groups if group.replicas.num_replicas == 1]
    broken = {loss.group: loss.broken for loss in plan.losses}
    for group in alone:
        assert set(broken[group.replicas.name]) == {one.name for one in group.loads}


def test_the_most_goodput_fills_the_fleet(question):
    workload = replace(question.workload, planning=Planning(objective="goodput"))
    plan = make_plan(replace(question, workload=workload))
    assert plan.inputs.objective is Objective.GOODPUT
    planned = {one.name: one.planned_rps for one in make_plan(question).classes}
    assert all(one.planned_rps > planned[one.name] for one in plan.classes)


def test_candidates_say_why_not(question):
    plan = make_plan(question)
    chosen = {one.name for one in plan.candidates if one.standing is Standing.CHOSEN}
    assert len(chosen) == len(plan.groups)
    assert all(one.reason for one in plan.candidates)


def test_an_impossible_promise_is_named_with_what_would_do(question, chat):
    tight = replace(chat, slo=TextSLO(ttft_s=1.0, tpot_s=0.0008))
    workload = replace(question.workload, traffic=(tight,))
    with pytest.raises(
        InfeasibleError, match=r"(?s)chat: no device.*a token takes.*would do: TPOT"
    ):
        make_plan(replace(question, workload=workload))


def test_too_much_traffic_names_the_missing_devices(question):
    asked = with_changes(question, rates=["x400"])
    with pytest.raises(InfeasibleError, match=r"(?s)serve \d+% of.*more .* would do"):
        make_plan(asked)


def test_devices_that_may_not_stop_are_paid(question):
    nodes = tuple((replace(node, may_stop=False), count) for node, count in question.cluster.nodes)
    plan = make_plan(replace(question, cluster=replace(question.cluster, nodes=nodes)))
    prices = [node.device.price.low_usd_per_hour * node.num_devices for node, _ in nodes]
    assert plan.usd_per_hour.value == pytest.approx(sum(prices))


def test_a_rhythm_is_planned_at_its_busy_hours_and_scheduled(question, chat):
    daily = replace(chat, arrivals=OpenLoop(rate_rps=400.0, rhythm=Week()))
    workload = replace(question.workload, traffic=(daily,))
    plan = make_plan(replace(question, workload=workload))
    (forecast,) = plan.classes
    assert forecast.planned_rps > 1.5 * forecast.mean_rps
    assert plan.schedules
    for one in plan.schedules:
        assert one.optimal_usd <= min(one.reactive_usd, one.static_usd) + 1e-9
        assert len(one.hours) == 24


def test_scaling_a_class_scales_its_rate(chat):
    assert scaled(chat, 2).arrivals.rate_rps == 12.0
