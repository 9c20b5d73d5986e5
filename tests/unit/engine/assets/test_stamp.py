from pathlib import Path

import pytest

from loadsheet.engine.assets.stamp import STAMP_NAME, is_stamped, write_stamp


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "weights").write_bytes(b"12345")
    (tmp_path / "config.json").write_text("{}")
    write_stamp(tmp_path, "copy-1 abc")
    return tmp_path


def test_a_whole_folder_is_ready(folder: Path) -> None:
    assert is_stamped(folder, "copy-1 abc")


def test_another_recipe_is_not(folder: Path) -> None:
    assert not is_stamped(folder, "copy-2 abc")


def test_a_file_cut_short_is_not(folder: Path) -> None:
    (folder / "unet" / "weights").write_bytes(b"1234")
    assert not is_stamped(folder, "copy-1 abc")


def test_a_missing_file_is_not(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert not is_stamped(folder, "copy-1 abc")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"recipe": "copy-1 abc"}', '{"files": 3}'])
def test_a_damaged_stamp_is_not(folder: Path, text: str) -> None:
    (folder / STAMP_NAME).write_text(text)
    assert not is_stamped(folder, "copy-1 abc")


def test_no_folder_is_not(tmp_path: Path) -> None:
    assert not is_stamped(tmp_path / "nowhere", "copy-1 abc")


def test_stamping_again_does_not_count_the_old_stamp(folder: Path) -> None:
    write_stamp(folder, "copy-2 a much longer recipe")
    assert is_stamped(folder, "copy-2 a much longer recipe")
