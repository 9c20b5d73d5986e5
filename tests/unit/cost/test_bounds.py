"""Bounds by hand: loads whose demands are known."""

import dataclasses

import pytest

from loadsheet.cost.bound_case import MixCase, bounds_on, cluster_rps
from loadsheet.cost.bounds import MixedLoad, bounds
from loadsheet.cost.cluster_bound import DeviceRates, cluster_bound
from loadsheet.cost.kernel.operator_time import Software
from loadsheet.cost.mixed_load import ImageClass, ImageLoad, TextClass, TextLoad
from loadsheet.cost.operator import Operator, OpKind
from loadsheet.cost.resource_demand import ResourceDemand, demand_of
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.workload.slo import ImageSLO, TextSLO

CHAT = TextClass(
    share=0.75, input_tokens=100, output_tokens=50, slo=TextSLO(ttft_s=1.0, tpot_s=0.05)
)
DRAW = ImageClass(
    share=0.25, width=512, height=512, steps=20, is_guided=True, slo=ImageSLO(deadline_s=6.0)
)
H100 = DeviceCatalog().find("h100-sxm-80gb")
CASE = MixCase(
    text=Catalog().find("llama-3.1-8b"),
    image=Catalog().find("sdxl"),
    replies=CHAT,
    pictures=DRAW,
)


def demand(alone: float, arithmetic: float = 0.0, memory: float = 0.0, weights: float = 0.0):
    return ResourceDemand(
        alone_s=alone, arithmetic_s=arithmetic, memory_s=memory, weights_s=weights
    )


class FlatText(TextLoad):
    """10 ms per iteration of any batch, all of it memory; a prompt takes 20 ms: 15 of
    arithmetic, 8 of memory, 6 of these weights."""

    def decode(self, batch: float) -> ResourceDemand:
        return demand(0.010, memory=0.010)

    @property
    def prefill(self) -> ResourceDemand:
        return demand(0.020, arithmetic=0.015, memory=0.008, weights=0.006)


class FlatImage(ImageLoad):
    """One image takes 400 ms, 300 in pairs; 250 of arithmetic, 50 of memory."""

    def image(self, batch: int) -> ResourceDemand:
        return demand(0.4 if batch == 1 else 0.3, arithmetic=0.25, memory=0.05)


def load(chat: TextClass = CHAT, draw: ImageClass = DRAW, room: float = 1000.0) -> MixedLoad:
    return MixedLoad(
        text=FlatText(model=None, engine=None, work=chat),  # type: ignore[arg-type]
        image=FlatImage(model=None, work=draw),  # type: ignore[arg-type]
        free_sequences=room,
    )


def test_each_bound_by_hand() -> None:
    found = bounds(load())
    # decode tax 10/50 = 0.2; per request 0.75·0.020 + 0.25·0.3 = 0.09 s
    assert found.serial_unfused_rps == pytest.approx(0.8 / 0.09)
    # memory 0.2 + λ·0.75·0.002 beats arithmetic λ·0.75·0.015 up to λ = 20.5; images λ·0.075
    assert found.serial_fused_rps == pytest.approx(0.8 / (0.75 * 0.002 + 0.075))
    # arithmetic λ(0.75·0.015 + 0.25·0.25) ≤ 1; memory 0.2 + λ(0.75·0.002 + 0.25·0.05) ≤ 1
    assert found.overlap_rps == pytest.approx(1 / (0.75 * 0.015 + 0.0625))
    # a thousand sequences, each there for at least 50 · 10 ms
    assert found.memory_rps == pytest.approx(1000 / (0.75 * 0.5))
    assert found.goodput_rps == found.overlap_rps
    assert found.serial_rps == found.serial_fused_rps


def test_a_tighter_token_promise_taxes_every_bound_of_serial_work() -> None:
    strict = dataclasses.replace(CHAT, slo=TextSLO(ttft_s=1.0, tpot_s=0.0125))
    assert bounds(load(strict)).serial_unfused_rps == pytest.approx(0.2 / 0.09)


@pytest.mark.parametrize(
    ("chat", "draw", "room", "reason"),
    [
        (CHAT, DRAW, 0.5, "do not fit"),
        (
            dataclasses.replace(CHAT, slo=TextSLO(ttft_s=0.01, tpot_s=0.05)),
            DRAW,
            9.0,
            "first token takes 0.02 s on the idle device, promised in 0.01 s",
        ),
        (dataclasses.replace(CHAT, slo=TextSLO(ttft_s=1, tpot_s=0.005)), DRAW, 9.0, "a token"),
        (CHAT, dataclasses.replace(DRAW, slo=ImageSLO(deadline_s=0.3)), 9.0, "an image takes 0.4"),
    ],
)
def test_a_promise_that_nobody_can_keep_leaves_nothing(chat, draw, room, reason) -> None:
    found = bounds(load(chat, draw, room))
    assert reason in found.broken[0]
    assert found.goodput_rps == found.serial_rps == 0


def test_one_class_alone_needs_no_other() -> None:
    chat = dataclasses.replace(CHAT, share=1.0)
    text = FlatText(model=None, engine=None, work=chat)  # type: ignore[arg-type]
    alone = MixedLoad(text=text, image=None, free_sequences=1000.0)
    assert bounds(alone).serial_unfused_rps == pytest.approx(0.8 / 0.02)
    draw = dataclasses.replace(DRAW, share=1.0)
    image = FlatImage(model=None, work=draw)  # type: ignore[arg-type]
    drawn = bounds(MixedLoad(text=None, image=image, free_sequences=0.0))
    assert drawn.serial_unfused_rps == pytest.approx(1 / 0.3)
    assert drawn.memory_rps == float("inf")


def test_shares_add_up_to_one() -> None:
    with pytest.raises(ConfigError, match="must add up to 1"):
        load(dataclasses.replace(CHAT, share=0.5))
    with pytest.raises(ConfigError, match="must add up to 1"):
        MixedLoad(text=None, image=None, free_sequences=1.0)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        dataclasses.replace(CHAT, share=-0.1)
    with pytest.raises(ConfigError, match="must each be 1 or more"):
        dataclasses.replace(CHAT, output_tokens=0)
    with pytest.raises(ConfigError, match="steps is 0"):
        dataclasses.replace(DRAW, steps=0)


def test_the_published_scheduler_mix_is_bounded_near_its_simulation() -> None:
    """Llama-3-8B and SDXL 1024² of 30 guided steps on an H100 at ten chats per image, TPOT 50 ms,
    images in 6 s: a roofline with assumed efficiencies put the bounds at 10 to 11 requests/s."""
    case = dataclasses.replace(
        CASE,
        replies=TextClass(
            share=10 / 11,
            input_tokens=512,
            output_tokens=128,
            slo=TextSLO(ttft_s=1.0, tpot_s=0.05),
        ),
        pictures=dataclasses.replace(DRAW, share=1 / 11, width=1024, height=1024, steps=30),
    )
    found = bounds_on(case, H100)
    assert not found.broken
    assert 7 < found.serial_fused_rps < found.overlap_rps < 14


def test_models_that_do_not_fit_have_no_goodput() -> None:
    assert "do not fit" in bounds_on(CASE, DeviceCatalog().find("t4")).broken[0]


def test_models_in_the_wrong_place_are_named() -> None:
    with pytest.raises(ConfigError, match="sdxl is no language model"):
        dataclasses.replace(CASE, text=CASE.image)
    with pytest.raises(ConfigError, match=r"llama-3\.1-8b is no image pipeline"):
        dataclasses.replace(CASE, image=CASE.text)


def test_an_operator_occupies_what_bounds_it() -> None:
    big = Operator(
        name="up", kind=OpKind.GEMM, flops=2 * 4096**3, bytes_read=4 * 4096**2,
        bytes_written=2 * 4096**2, weight_bytes=2 * 4096**2, m=4096, n=4096, k=4096,
    )  # fmt: skip
    found = demand_of([big], H100, Software())
    assert found.arithmetic_s == found.alone_s
    assert 0 < found.memory_s < found.alone_s
    assert found.weights_s == pytest.approx(found.memory_s / 3)
    thin = dataclasses.replace(big, m=1, flops=2 * 4096**2)
    assert demand_of([thin], H100, Software()).memory_s == pytest.approx(
        demand_of([thin], H100, Software()).alone_s
    )


def test_unlike_devices_each_do_what_they_are_better_at() -> None:
    """A chats 10 or draws 1, B chats 4 or draws 2: A for chat, B for images, λ = 10/p_t at most;
    at p_t = 5/6 both limits meet at 12."""
    devices = [
        DeviceRates(count=1, text_rps=4.0, image_rps=2.0),
        DeviceRates(count=1, text_rps=10.0, image_rps=1.0),
    ]
    assert cluster_bound(devices, 5 / 6) == pytest.approx(12.0)
    assert cluster_bound(devices, 1.0) == pytest.approx(14.0)
    assert cluster_bound(devices, 0.0) == pytest.approx(3.0)


def test_a_device_is_shared_where_the_mix_asks_for_it() -> None:
    """x·10 = 3·(1 - x)·2 at three chats per image: x = 3/8, λ = 3.75/0.75."""
    assert cluster_bound([DeviceRates(count=1, text_rps=10.0, image_rps=2.0)], 0.75) == (
        pytest.approx(5.0)
    )


def test_a_class_that_no_device_serves_ends_the_mix() -> None:
    assert cluster_bound([DeviceRates(count=8, text_rps=10.0, image_rps=0.0)], 0.5) == 0
    assert cluster_bound([DeviceRates(count=8, text_rps=0.0, image_rps=0.0)], 0.5) == 0


def test_impossible_clusters_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one device"):
        cluster_bound([], 0.5)
    with pytest.raises(ConfigError, match="text share is 2"):
        cluster_bound([DeviceRates(count=1, text_rps=1.0, image_rps=1.0)], 2)
    with pytest.raises(ConfigError, match="counts start at 1"):
        DeviceRates(count=0, text_rps=1.0, image_rps=1.0)


def test_twice_the_devices_bound_twice_the_load() -> None:
    once, twice = (cluster_rps(CASE, [(H100, count)]) for count in (1, 2))
    assert twice == pytest.approx(2 * once)
    assert once >= bounds_on(CASE, H100).serial_fused_rps
