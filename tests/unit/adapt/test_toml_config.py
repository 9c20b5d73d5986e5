"""A TOML file becomes a configuration, or an error that names the place."""

from dataclasses import dataclass

import pytest

from loadsheet.adapt.text_config import TrainTextConfig
from loadsheet.adapt.toml_config import read_config
from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    width: int = 1
    rate: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = Inner()
    sizes: tuple[int, ...] = (1,)
    decay: float | None = 0.9
    is_on: bool = False


def read(tmp_path, text, kind=Outer):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_config(path, kind)


def test_tables_are_nested_classes_and_defaults_stay(tmp_path):
    found = read(tmp_path, 'name = "a"\nsizes = [2, 3]\ndecay = 1\n[inner]\nwidth = 7')
    assert found == Outer(name="a", sizes=(2, 3), decay=1.0, inner=Inner(width=7))
    assert isinstance(found.decay, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nam = "a"', r"recipe\.toml has no setting 'nam'; the nearest is 'name'"),
        ('name = "a"\n[inner]\nwith = 1', "inner has no setting 'with'; the nearest is 'width'"),
        ("name = 1", "name is 1; str is due"),
        ('name = "a"\nis_on = 1', "is_on is 1; bool is due"),
        ('name = "a"\nsizes = 3', "sizes is 3; a list is due"),
        ('name = "a"\nsizes = ["x"]', "sizes is 'x'; int is due"),
        ('name = "a"\ninner = 3', "inner is 3; a table is due"),
        ('name = "a"\n[inner]\nwidth = true', "width is True; int is due"),
        ("sizes = [1]", "name"),
        ("name =", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        read_config(tmp_path / "nowhere.toml", Outer)


def test_checks_of_the_class_are_met(tmp_path):
    with pytest.raises(ConfigError, match="batch_size is 0"):
        read(tmp_path, "batch_size = 0", TrainTextConfig)
