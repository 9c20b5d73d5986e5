import pytest

from loadsheet.errors import SpecError
from loadsheet.specs.hf_config import HfConfig


def config(**fields) -> HfConfig:
    return HfConfig(fields, "model/config.json")


def test_missing_key_is_named_with_its_file():
    with pytest.raises(SpecError, match=r"model/config.json: the config has no hidden_size"):
        config().integer("hidden_size")


def test_null_counts_as_absent():
    assert config(window=None).positive("window", 7) == 7
    assert not config(window=None).has("window")


@pytest.mark.parametrize("value", ["4096", 4096.0, True, -1, [1]])
def test_whole_numbers_are_checked(value):
    with pytest.raises(SpecError, match="n is"):
        config(n=value).integer("n")


def test_zero_is_not_positive():
    with pytest.raises(SpecError, match="≥ 1"):
        config(n=0).positive("n")


def test_per_level_spreads_a_number_and_checks_a_list():
    assert config(heads=8).per_level("heads", 3) == (8, 8, 8)
    assert config(heads=[5, 10]).per_level("heads", 2) == (5, 10)
    with pytest.raises(SpecError, match="3 levels"):
        config(heads=[5, 10]).per_level("heads", 3)


def test_multiple_suggests_the_nearest():
    with pytest.raises(SpecError, match="100 is not a multiple of h 12; the nearest that is: 96"):
        config(d=100, h=12).multiple("d", "h")


def test_wrong_kinds_are_refused():
    with pytest.raises(SpecError, match="true or false"):
        config(f=1).flag("f", True)
    with pytest.raises(SpecError, match="a string"):
        config(f=1).text("f")
    with pytest.raises(SpecError, match="a list of whole"):
        config(f=["a"]).integers("f")
    with pytest.raises(SpecError, match="a table"):
        config(f=1).child("f")
    with pytest.raises(SpecError, match="a number"):
        config(f="x").number("f")
