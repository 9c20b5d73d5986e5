"""A user's dated prices replace the catalogue's."""

import pytest

from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog

GOOD = '[h100-sxm-80gb]\nusd_per_hour = 2.1\ndate = "2026-11-01"\nnote = "our contract"\n'


def catalog(tmp_path, text: str) -> DeviceCatalog:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    return DeviceCatalog(prices=path)


def test_own_prices_win_and_say_from_when(tmp_path) -> None:
    found = catalog(tmp_path, GOOD)
    price = found.find("h100-sxm").price
    assert price is not None
    assert (price.low_usd_per_hour, price.high_usd_per_hour) == (2.1, 2.1)
    assert price.note == "our contract, 2026-11-01"
    other = DeviceCatalog(prices=tmp_path / "none.toml")
    assert found.find("l40s").price == other.find("l40s").price


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("h100-sxm-80gb", "h100-sxm-81gb"), "unknown; nearest: h100-sxm-80gb"),
        (GOOD.replace("2.1", "-1"), "usd_per_hour is -1"),
        (GOOD.replace("2.1", "true"), "usd_per_hour is True"),
        (GOOD.replace("2026-11-01", "last week"), "date is 'last week'"),
        (GOOD.replace("note", "nota"), "'nota'; known: date, note, usd_per_hour"),
        ("h100 = 3", "expected a table"),
        ("[", "prices.toml"),
    ],
)
def test_bad_prices_are_refused_with_the_place(tmp_path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        catalog(tmp_path, text).find("h100-sxm-80gb")
