"""Bounds on goodput: ordered, and monotone in work, promises and devices."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from loadsheet.cost.bound_case import MixCase, bounds_on
from loadsheet.cost.bounds import Bounds
from loadsheet.cost.cluster_bound import DeviceRates, cluster_bound
from loadsheet.cost.mixed_load import ImageClass, TextClass
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.workload.slo import ImageSLO, TextSLO

DEVICE = DeviceCatalog().find("h100-sxm-80gb")
TEXT, IMAGE = Catalog().find("smollm2-135m"), Catalog().find("pixart-alpha")
rates = st.floats(0.01, 100)
devices = st.lists(
    st.builds(DeviceRates, count=st.integers(1, 8), text_rps=rates, image_rps=rates),
    min_size=1,
    max_size=5,
)
shares = st.floats(0.01, 0.99)


@st.composite
def cases(draw) -> MixCase:
    share = draw(shares)
    return MixCase(
        text=TEXT,
        image=IMAGE,
        replies=TextClass(
            share=share,
            input_tokens=draw(st.sampled_from([64, 512, 2048])),
            output_tokens=draw(st.sampled_from([16, 128, 1024])),
            slo=TextSLO(ttft_s=2.0, tpot_s=draw(st.sampled_from([0.015, 0.03, 0.1]))),
        ),
        pictures=ImageClass(
            share=1 - share,
            width=512,
            height=512,
            steps=draw(st.integers(1, 50)),
            is_guided=draw(st.booleans()),
            slo=ImageSLO(deadline_s=20.0),
        ),
    )


def numbers(found: Bounds) -> tuple[float, ...]:
    return (
        found.serial_unfused_rps,
        found.serial_fused_rps,
        found.overlap_rps,
        found.memory_rps,
    )


@settings(deadline=None, max_examples=10)
@given(cases())
def test_bounds_are_ordered_and_overlap_gains_at_most_two(case) -> None:
    found = bounds_on(case, DEVICE)
    assert not found.broken
    assert 0 < found.serial_unfused_rps <= found.serial_fused_rps * (1 + 1e-9)
    assert found.serial_fused_rps <= found.overlap_rps * (1 + 1e-9)


@settings(deadline=None, max_examples=6)
@given(cases(), st.integers(1, 30))
def test_more_steps_never_raise_a_bound(case, more) -> None:
    longer = dataclasses.replace(case.pictures, steps=case.pictures.steps + more)
    low = bounds_on(dataclasses.replace(case, pictures=longer), DEVICE)
    for less, plain in zip(numbers(low), numbers(bounds_on(case, DEVICE)), strict=True):
        assert less <= plain * (1 + 1e-9)


@settings(deadline=None, max_examples=6)
@given(cases())
def test_a_looser_token_promise_never_lowers_a_bound(case) -> None:
    slo = dataclasses.replace(case.replies.slo, tpot_s=2 * case.replies.slo.tpot_s)
    looser = dataclasses.replace(case, replies=dataclasses.replace(case.replies, slo=slo))
    high = bounds_on(looser, DEVICE)
    for more, plain in zip(numbers(high), numbers(bounds_on(case, DEVICE)), strict=True):
        assert more >= plain * (1 - 1e-9)


@given(devices, shares)
def test_the_cluster_bound_beats_every_split_of_whole_devices(found, share) -> None:
    best = cluster_bound(found, share)
    for border in range(len(found) + 1):
        text = sum(one.count * one.text_rps for one in found[:border])
        images = sum(one.count * one.image_rps for one in found[border:])
        assert best >= min(text / share, images / (1 - share)) * (1 - 1e-9)


@given(devices, shares, devices)
def test_more_devices_never_lower_the_cluster_bound(found, share, more) -> None:
    assert cluster_bound(found + more, share) >= cluster_bound(found, share) * (1 - 1e-9)


@given(devices, shares)
def test_the_cluster_bound_is_the_linear_programs(found, share) -> None:
    """Weak duality: for any prices y of the classes with y_t·p_t + y_g·p_g = 1, λ is at most the
    sum of each device's better offer; at the optimum some price attains it."""
    best = cluster_bound(found, share)

    def offered(price: float) -> float:
        text_price, image_price = price / share, (1 - price) / (1 - share)
        return sum(
            one.count * max(text_price * one.text_rps, image_price * one.image_rps) for one in found
        )

    prices = [0.0, 1.0]
    for one in found:  # where a device's offers are equal
        ratio = one.image_rps * share / (one.text_rps * (1 - share))
        prices.append(ratio / (1 + ratio))
    assert abs(min(offered(price) for price in prices) - best) <= 1e-6 * best
