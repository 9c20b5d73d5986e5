"""What the sliders start from is what the plan says."""

import pytest

from loadsheet.planner.sheet.verdict import first_limit, verdict


def test_pools_carry_the_planned_load(plan, sheet):
    assert [pool.name for pool in sheet.pools] == [group.replicas.name for group in plan.groups]
    for pool, group in zip(sheet.pools, plan.groups, strict=True):
        work = sum(one.rate_rps * one.seconds for one in pool.classes)
        assert pool.tax + work / pool.num_replicas == pytest.approx(group.utilisation)
        assert pool.usd_per_hour * pool.num_replicas == pytest.approx(group.usd_per_hour)


def test_the_limit_is_where_the_group_is_full(plan):
    group, factor = first_limit(plan)
    work = sum(one.rate_rps * one.seconds_per_request for one in group.loads)
    used = group.decode_tax + factor * work / group.replicas.num_replicas
    assert used == pytest.approx(group.max_utilisation)
    assert factor >= 1  # a plan holds what it is for


def test_the_verdict_answers_five_questions(plan, sheet):
    tiles = {tile.label: tile for tile in verdict(plan, sheet.pools)}
    assert tiles["cost"].value == f"${plan.usd_per_hour.value:,.2f} /h"
    assert tiles["fits"].tone == "good"
    assert tiles["promises kept"].value == "2 of 2"
    assert tiles["breaks first as traffic grows"].value in {"chat", "picture"}


def test_roofline_has_both_families(sheet):
    phases = {point.phase for point in sheet.points}
    assert {"prefill", "decode", "denoise", "vae_decode"} <= phases
    roofs = {roof.device: roof for roof in sheet.roofs}
    for point in sheet.points:
        top = max(one.flops_per_s for one in sheet.roofs if one.device == point.device)
        assert point.flops_per_s <= 1.02 * top
        assert point.flops_per_s <= 1.02 * point.intensity * roofs[point.device].bytes_per_s


def test_the_gantt_shows_both_kinds_of_step(sheet):
    shared = next(one for one in sheet.gantts if len({span.model for span in one.spans}) == 2)
    assert {"text", "denoise"} <= {str(span.kind) for span in shared.spans}
    for span in shared.spans:
        assert span.end_s > shared.start_s and span.start_s < shared.start_s + shared.seconds
