from datetime import date

import pytest

from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog, device_from, with_price
from loadsheet.hardware.cluster import Node, read_cluster

CATALOG = DeviceCatalog()
TABLE = {
    "name": "x",
    "vendor": "v",
    "memory_gb": 10,
    "memory_gb_per_s": 100,
    "peak_tflops": {"bf16": 1, "fp32": 0.5},
    "source": "s",
    "date": "2026-01-01",
}


@pytest.mark.parametrize("device", list(CATALOG.devices()), ids=lambda device: device.name)
def test_entry_is_sane(device):
    assert 8e9 < device.memory_bytes < 1e12
    assert 1e11 < device.memory_bytes_per_s < 2e13
    assert date.fromisoformat(device.date)
    assert device.from_memory == ("from memory" in device.source)
    for dtype, rate in device.measured_flops_per_s.items():
        assert rate < device.peak_flops_per_s[dtype]
    if device.price:
        assert 0 < device.price.low_usd_per_hour <= device.price.high_usd_per_hour
    assert 10 < device.ridge("bf16") < 1000


def test_short_names_find_the_usual_card():
    assert CATALOG.find("H100_SXM").name == "h100-sxm-80gb"
    assert CATALOG.find("h200").name == "h200-sxm-141gb"
    assert CATALOG.find(["NVIDIA", "L4"][1]).name == "l4"


def test_unknown_device_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'h1000' is unknown; nearest: .*h100"):
        CATALOG.find("h1000")


def test_missing_formats_fall_back_to_wider_ones():
    a100 = CATALOG.find("a100-sxm-80gb")
    assert a100.native("fp8") == "bf16"
    assert a100.native("int8") == "int8"
    assert CATALOG.find("t4").native("bf16") == "fp16"
    with pytest.raises(ConfigError, match="no peak for tf64"):
        a100.native("tf64")


def test_units_are_si():
    device = device_from(TABLE, "x.toml")
    assert device.memory_bytes == 10**10
    assert device.flops_per_s("bf16") == 1e12
    assert device.ridge("bf16") == 10


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory_gb", 0),
        ("memory_gb", -1),
        ("memory_gb", "big"),
        ("name", 1),
        ("peak_tflops", {}),
        ("peak_tflops", 3),
        ("price", 1.0),
    ],
)
def test_bad_tables_are_refused(key, value):
    with pytest.raises(ConfigError, match=r"x\.toml"):
        device_from({**TABLE, key: value}, "x.toml")


def test_users_set_prices():
    device = with_price(CATALOG.find("h100-sxm"), 1.5)
    assert device.price and device.price.low_usd_per_hour == 1.5
    with pytest.raises(ConfigError, match="below zero"):
        with_price(device, -1)


def test_cluster_file(tmp_path):
    path = tmp_path / "cluster.toml"
    path.write_text(
        '[[node]]\ndevice = "h100-sxm"\nnum_devices = 8\ncount = 2\nusd_per_hour = 2.0\n'
        '[[node]]\ndevice = "l4"\n'
    )
    cluster = read_cluster(path, CATALOG)
    assert cluster.num_devices == 17
    (big, _), (small, _) = cluster.nodes
    assert big.link.name == "scale-up" and big.link.bytes_per_s == 450e9
    assert small.link.name == "host" and small.link.bytes_per_s == 32e9
    assert isinstance(big, Node) and big.device.price.note == "set by the user"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no \\[\\[node\\]\\]"),
        ("[[node]", "cluster.toml"),
        ('[[node]]\ndevice = "l4"\nnum = 2', "num is not a setting"),
        ('[[node]]\ndevice = "l4"\ncount = 0', "count is 0"),
        ("node = [1]", "give one or more tables"),
    ],
)
def test_bad_clusters_are_refused(tmp_path, text, message):
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_cluster(path, CATALOG)
