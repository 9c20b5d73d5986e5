import pytest

from loadsheet.errors import ConfigError
from loadsheet.units import format_bytes, format_seconds, parse_bytes


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (269_060_552, "256.6 MiB"),
        (5e15, "4547.5 TiB"),
    ],
)
def test_bytes_for_people(num_bytes, text):
    assert format_bytes(num_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.5, "2.50 s"),
        (0.0042, "4.20 ms"),
        (3e-6, "3.00 µs"),
        (0.0, "0.00 µs"),
        (-0.5, "-500.00 ms"),
    ],
)
def test_seconds_for_people(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [("12", 12), ("512MiB", 2**29), ("1.5 GiB", 3 * 2**29), ("2gb", 2 * 10**9), (" 7 B ", 7)],
)
def test_sizes_as_people_write_them(text, num_bytes):
    assert parse_bytes(text) == num_bytes


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1e9", "12 parsecs", "nan"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="is not a size"):
        parse_bytes(text)
