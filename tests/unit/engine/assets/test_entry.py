import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from loadsheet.engine.assets.entry import (
    DEFAULT_ASSETS,
    EntryKind,
    Recipe,
    find_entry,
    load_catalogue,
    nearest_names,
    parse_entry,
)
from loadsheet.errors import SpecError

_FOLDER = Path(str(resources.files("loadsheet") / "engine" / "assets" / "catalogue"))


def test_every_file_is_an_entry_of_its_name() -> None:
    assert {file.stem for file in _FOLDER.glob("*.toml")} == set(load_catalogue())


def test_every_entry_has_licence_source_and_date() -> None:
    for entry in load_catalogue().values():
        assert entry.licence == "Apache-2.0"
        assert entry.origin
        assert entry.date.year >= 2026
        assert entry.folder_bytes > 1_000_000


def test_every_wheel_is_pinned() -> None:
    wheels = [entry.wheel for entry in load_catalogue().values() if entry.wheel]
    assert len(wheels) == 2
    for wheel in wheels:
        for pinned in (wheel, *wheel.members):
            assert re.fullmatch(r"[0-9a-f]{64}", pinned.sha256)
            assert pinned.num_bytes > 0


def test_needs_and_defaults_exist() -> None:
    catalogue = load_catalogue()
    assert all(name in catalogue for name in DEFAULT_ASSETS)
    for entry in catalogue.values():
        assert all(need in catalogue for need in entry.needs)
    assert [catalogue[name].kind for name in DEFAULT_ASSETS] == [EntryKind.TEXT, EntryKind.IMAGE]


def test_unknown_keys_and_values_are_errors() -> None:
    table = tomllib.loads((_FOLDER / "emoji.toml").read_text())
    assert parse_entry(table).recipe is Recipe.PACKAGED_IMAGE
    with pytest.raises(TypeError, match="colour"):
        parse_entry(table | {"colour": "red"})
    with pytest.raises(ValueError, match="magic"):
        parse_entry(table | {"recipe": "magic"})


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(SpecError, match="did you mean smollm2-135m-instruct"):
        find_entry("SmolLM2-135M", load_catalogue())


def test_without_a_near_name_all_are_listed() -> None:
    assert nearest_names("zzz", ["b", "a"]) == "the catalogue has a, b."
