"""All-reduces: volumes by hand, the way that is taken, and hosts that are shared."""

import pytest

from loadsheet.cost.kernel.allreduce import allreduce_seconds, reduced_seconds
from loadsheet.cost.kernel.links import LinkConstants
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog

CATALOG = DeviceCatalog()
PLAIN = LinkConstants(
    one_shot_us=1.0,
    peer_us=0.0,
    phase_us=1.0,
    ring_us=10.0,
    ring_peer_us=0.0,
    one_shot_share=1.0,
    two_shot_share=1.0,
    ring_share=1.0,
    pair_share=1.0,
    host_share=0.0,
    multicast_from=99,
    multicast_gain=1.0,
)


def test_a_small_buffer_goes_in_one_shot() -> None:
    # 7 peers' 100 B at 1 GB/s after 1 us; two shots would take 2.175 us
    assert reduced_seconds(100, 8, 1e9, PLAIN) == pytest.approx(1e-6 + 0.7e-6)


def test_a_middling_buffer_goes_in_two_shots() -> None:
    # 2·7/8 of 1 MB at 1 GB/s after 2 us; one shot would take 7 ms
    assert reduced_seconds(1e6, 8, 1e9, PLAIN) == pytest.approx(2e-6 + 1.75e-3)


def test_a_large_buffer_goes_round_the_ring() -> None:
    assert reduced_seconds(1e9, 8, 1e9, PLAIN) == pytest.approx(10e-6 + 1.75)


def test_one_device_has_nothing_to_reduce() -> None:
    h100 = CATALOG.find("h100-sxm-80gb")
    assert allreduce_seconds(1e6, 1, h100) == 0
    assert allreduce_seconds(0, 8, h100) == 0


def test_pcie_devices_share_the_host_from_four_on() -> None:
    l40s = CATALOG.find("l40s")
    four, eight = (allreduce_seconds(256e6, n, l40s) for n in (4, 8))
    assert eight / four == pytest.approx(2 * 1.75 / 1.5, rel=0.05)


def test_a_wider_link_is_faster() -> None:
    a100, h100, b200 = (
        allreduce_seconds(256e6, 4, CATALOG.find(name))
        for name in ("a100-sxm-80gb", "h100-sxm-80gb", "b200-sxm-180gb")
    )
    assert a100 > h100 > b200


def test_impossible_buffers_are_refused() -> None:
    with pytest.raises(ConfigError, match="-1 bytes"):
        allreduce_seconds(-1, 2, CATALOG.find("l40s"))
