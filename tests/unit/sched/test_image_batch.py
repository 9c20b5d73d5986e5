from dataclasses import replace

import pytest

from loadsheet.sched.image_batch import pick_images
from loadsheet.sched.image_group import ImageGroup
from loadsheet.sched.plan import StepKind
from loadsheet.sched.policy import DeviceState

INF = float("inf")


def shared(kind, model, shape):
    """50 ms for a step of any batch: sharing pays."""
    return 0.050


def serial(kind, model, shape):
    """50 ms per image: sharing gains nothing."""
    return 0.050 * shape.batch


@pytest.fixture
def pick(make):
    def pick(requests, seconds=shared, *, slack_s=INF, num_started=0, **limits):
        group = ImageGroup(make.image_limits(**limits))
        for order, request in enumerate(requests):
            group.add(request, order)
        if num_started:
            batch, _ = group.start_step(tuple(one.request_id for one in requests[:num_started]))
            group.finish_step(batch, ())
        state = DeviceState(text=(), images=(group,), times=make.exact(seconds))
        return pick_images(state, slack_s, now_s=0.0)

    return pick


def test_no_images_no_pick(pick):
    assert pick([]) is None


def test_the_earliest_deadline_leads(pick, make):
    picked = pick([make.image("late", deadline=9), make.image("soon", deadline=5)], serial)
    assert picked.choice.request_ids == ("soon",)
    assert picked.choice.kind is StepKind.ENCODE
    assert picked.seconds == 0.050


def test_laxity_is_the_time_left_less_the_work_left(pick, make):
    picked = pick([make.image("a", steps=3, deadline=0.5)])
    assert picked.laxity_s == pytest.approx(0.5 - 3 * 0.05 - 0.05)
    assert picked.laxity_share == pytest.approx(0.6)


def test_equals_fill_up_to_the_largest_batch(pick, make):
    images = [make.image(name) for name in "abcdef"]
    assert pick(images).choice.request_ids == ("a", "b", "c", "d")


def test_a_batch_that_gains_nothing_stays_at_one(pick, make):
    assert pick([make.image(name) for name in "ab"], serial).choice.request_ids == ("a",)


@pytest.mark.parametrize(("fixed_s", "size"), [(0.006, 2), (0.004, 1)])
def test_a_mate_must_save_a_twentieth_per_image(pick, make, fixed_s, size):
    # per image: 50 + 6 ms alone, 50 + 3 ms in a pair: a share of 0.946; and 50 + 2 after 54: 0.963
    def affine(kind, model, shape):
        return fixed_s + 0.050 * shape.batch

    picked = pick([make.image(name) for name in "ab"], affine)
    assert len(picked.choice.request_ids) == size


def test_a_batch_must_fit_the_slack(pick, make):
    def affine(kind, model, shape):
        return 0.040 + 0.010 * shape.batch

    images = [make.image(name) for name in "abcd"]
    assert len(pick(images, affine, slack_s=0.071).choice.request_ids) == 3
    # the leader alone is offered even if it does not fit: whether it may go is for the policy
    assert len(pick(images, affine, slack_s=0.0).choice.request_ids) == 1


def test_nobody_joins_at_the_cost_of_a_deadline(pick, make):
    def affine(kind, model, shape):
        return 0.040 + 0.010 * shape.batch

    # alone 2 · 50 + 50 ms; in a pair 2 · 60 + 50 = 170 ms
    in_time = make.image("a", steps=2, deadline=0.171)
    assert len(pick([in_time, make.image("b")], affine).choice.request_ids) == 2
    tight = make.image("a", steps=2, deadline=0.169)
    assert len(pick([tight, make.image("b")], affine).choice.request_ids) == 1
    lost = make.image("a", steps=2, deadline=0.149)
    assert len(pick([lost, make.image("b")], affine).choice.request_ids) == 2


@pytest.mark.parametrize("other", [{"size": 128}, {"guided": True}])
def test_only_equals_start_together(pick, make, other):
    assert pick([make.image("a"), make.image("b", **other)]).choice.request_ids == ("a",)


def test_starts_keep_the_order_of_deadlines(pick, make):
    images = [make.image("a"), make.image("large", size=128), make.image("b")]
    assert pick(images).choice.request_ids == ("a",)


def test_starts_keep_to_the_budget(pick, make):
    images = [make.image(name) for name in "abcd"]
    assert pick(images, budget_bytes=250).choice.request_ids == ("a", "b")


def test_a_waiting_image_is_encoded_when_it_can_share_the_steps_left(pick, make):
    images = [make.image("a"), make.image("b"), make.image("c")]
    picked = pick(images, num_started=1)
    assert picked.choice.kind is StepKind.ENCODE
    assert picked.choice.request_ids == ("b", "c")


@pytest.mark.parametrize("obstacle", ["gain", "slack", "size", "full"])
def test_a_waiting_image_is_left_where_it_could_not_share(pick, make, obstacle):
    images = [make.image("a"), make.image("b", size=128 if obstacle == "size" else 64)]
    seconds = serial if obstacle == "gain" else lambda kind, model, shape: 0.04 + 0.01 * shape.batch
    picked = pick(
        images,
        seconds,
        num_started=1,
        slack_s=0.055 if obstacle == "slack" else INF,
        max_batch=1 if obstacle == "full" else 4,
    )
    assert picked.choice.kind is StepKind.DENOISE
    assert picked.choice.request_ids == ("a",)


def test_started_images_of_one_kind_step_together(pick, make):
    images = [make.image("a", steps=3), make.image("b", steps=5)]
    picked = pick(images, num_started=2)
    assert picked.choice.kind is StepKind.DENOISE
    assert picked.choice.request_ids == ("a", "b")


def test_the_earliest_deadline_of_all_models_leads(make):
    groups = [ImageGroup(make.image_limits(model=name)) for name in ("one", "two")]
    groups[0].add(make.image("late", deadline=9, model="one"), order=1)
    groups[1].add(make.image("soon", deadline=5, model="two"), order=2)
    state = DeviceState(text=(), images=tuple(groups), times=make.exact(shared))
    assert pick_images(state, INF, now_s=0.0).choice.model == "two"


def test_images_of_different_adapters_never_share_a_step(pick, make):
    images = [
        replace(make.image(name), adapter=adapter)
        for name, adapter in zip("abcd", ("glossy", None, "glossy", "flat"), strict=True)
    ]
    assert pick(images).choice.request_ids == ("a",)  # starts keep the order of deadlines
    assert pick(images, num_started=4).choice.request_ids == ("a", "c")
