"""The whole device for one class, a half for each of two."""

from loadsheet.sched.lane_rule import HALF, OTHER_LANE, TEXT_LANE, WHOLE
from loadsheet.sched.plan import StepKind


def two_lanes(make_device, make):
    return make_device(limits=make.device_limits(num_lanes=2))


def place(plan):
    return plan.lane, plan.share


def test_a_class_alone_has_the_whole_device(make_device, make):
    device = two_lanes(make_device, make)
    device.arrive(make.text("t"))
    assert place(device.scheduler.plan(0.0)) == (TEXT_LANE, WHOLE)
    device = two_lanes(make_device, make)
    device.arrive(make.image("i"))
    assert place(device.scheduler.plan(0.0)) == (OTHER_LANE, WHOLE)


def test_two_classes_have_a_half_each(make_device, make):
    device = two_lanes(make_device, make)
    device.arrive(make.text("t"))
    device.arrive(make.image("i"))
    plans = [device.scheduler.plan(0.0) for _ in range(2)]
    assert [place(plan) for plan in plans] == [(TEXT_LANE, HALF), (OTHER_LANE, HALF)]
    assert [plan.kind for plan in plans] == [StepKind.TEXT, StepKind.ENCODE]
    assert device.scheduler.plan(0.0) is None


def test_a_step_on_the_whole_device_ends_before_another_begins(make_device, make):
    device = two_lanes(make_device, make)
    device.arrive(make.image("i"))
    whole = device.scheduler.plan(0.0)
    device.arrive(make.text("t"))
    assert device.scheduler.plan(0.0) is None
    device.finish(whole)
    shares = [device.scheduler.plan(device.now_s).share for _ in range(2)]
    assert shares == [HALF, HALF]


def test_a_half_is_lent_after_a_step_of_grace(make_device, make):
    """The image leaves while text decodes: one more step on a half, then the whole device."""
    device = two_lanes(make_device, make)
    device.arrive(make.text("t", output=50))
    device.arrive(make.image("i", steps=1))
    plans = [device.scheduler.plan(0.0) for _ in range(2)]
    while plans[1] is not None:  # encode, denoise, decode
        device.finish(plans[1])
        plans[1] = device.scheduler.plan(device.now_s)
    shares = []
    for _ in range(3):
        device.finish(plans[0])
        plans[0] = device.scheduler.plan(device.now_s)
        shares.append(plans[0].share)
    assert shares == [HALF, WHOLE, WHOLE]


def test_who_returns_in_time_finds_its_half_free(make_device, make):
    device = two_lanes(make_device, make)
    device.arrive(make.text("t", output=50))
    device.arrive(make.image("i", steps=1))
    plans = [device.scheduler.plan(0.0) for _ in range(2)]
    while plans[1] is not None:
        device.finish(plans[1])
        plans[1] = device.scheduler.plan(device.now_s)
    device.finish(plans[0])
    assert device.scheduler.plan(device.now_s).share == HALF
    device.arrive(make.image("next"))
    assert place(device.scheduler.plan(device.now_s)) == (OTHER_LANE, HALF)
