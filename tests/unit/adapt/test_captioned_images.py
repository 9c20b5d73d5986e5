"""Folders of captioned pictures: both layouts, and everything that is wrong with a folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loadsheet.adapt.captioned_images import CaptionedImages, read_captioned_images
from loadsheet.errors import AssetError, ConfigError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> None:
    Image.new("RGB", size, color).save(path)


def test_text_files_beside_pictures(tmp_path: Path) -> None:
    save(tmp_path / "b.png", BLUE)
    save(tmp_path / "a.jpg", RED)
    (tmp_path / "a.txt").write_text("a red square\n\nred\nred\n")
    (tmp_path / "b.txt").write_text("a blue square")
    (tmp_path / "notes.md").write_text("no picture")
    read = read_captioned_images(tmp_path, (16, 8))
    assert read.images.shape == (2, 8, 16, 3)
    assert [[c.text for c in own] for own in read.captions] == [
        ["a red square", "red"],
        ["a blue square"],
    ]
    assert np.abs(read.images[1].astype(int) - BLUE).max() == 0


def test_metadata_lines(tmp_path: Path) -> None:
    save(tmp_path / "x.png", RED, (40, 10))
    line = json.dumps({"file_name": "x.png", "text": "a wide one"})
    (tmp_path / "metadata.jsonl").write_text(line + "\n\n")
    read = read_captioned_images(tmp_path, (10, 10))
    assert (len(read), read.captions[0][0].text) == (1, "a wide one")


def test_a_picture_is_cut_to_proportions_from_its_middle(tmp_path: Path) -> None:
    picture = np.zeros((10, 30, 3), dtype=np.uint8)
    picture[:, 10:20] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("middle")
    assert read_captioned_images(tmp_path, (10, 10)).images.min() == 255


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({}, ConfigError, "no captioned pictures"),
        ({"a.png": RED}, ConfigError, r"a\.png has no caption; write a\.txt"),
        ({"a.png": RED, "a.txt": " \n"}, ConfigError, "an empty caption"),
        ({"a.png": "no picture", "a.txt": "x"}, AssetError, "cannot be read as a picture"),
        ({"metadata.jsonl": "{"}, ConfigError, r"metadata\.jsonl:1 needs"),
        ({"metadata.jsonl": '{"file_name": "a.png"}'}, ConfigError, "file_name and text"),
        (
            {"metadata.jsonl": '{"file_name": "../a.png", "text": "x"}'},
            ConfigError,
            "outside the folder",
        ),
        (
            {"metadata.jsonl": '{"file_name": "gone.png", "text": "x"}'},
            AssetError,
            "cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, files: dict, error: type, words: str) -> None:
    for name, content in files.items():
        if isinstance(content, tuple):
            save(tmp_path / name, content)
        else:
            (tmp_path / name).write_text(content)
    with pytest.raises(error, match=words):
        read_captioned_images(tmp_path, (8, 8))


def test_no_folder_and_unequal_counts(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="there is no folder"):
        read_captioned_images(tmp_path / "gone", (8, 8))
    with pytest.raises(ConfigError, match="1 images but captions for 0"):
        CaptionedImages(images=np.zeros((1, 8, 8, 3), dtype=np.uint8), captions=())
