"""A gallery of two hand-drawn concepts: numbering, determinism, storage."""

import io
import json
import tarfile

import numpy as np
import pytest

from loadsheet.adapt import art, gallery
from loadsheet.adapt.gallery import GalleryConfig, draw, list_pictures, open_gallery
from loadsheet.adapt.icons import IconSet

SMALL = GalleryConfig(size=16, num_variants=3)
BODIES = {
    "pear": {"body": '<circle cx="8" cy="8" r="6" fill="#00ff00"/>'},
    "key": {"body": '<rect x="2" y="6" width="6" height="4" fill="#884400"/>'},
}
NAMES = {
    "🍐": {"name": "pear", "group": "Food & Drink"},
    "🔑": {"name": "key", "group": "Objects"},
    "🇹🇩": {"name": "flag Chad", "group": "Flags"},
}
ICONS = {
    "noto": {"prefix": "noto", "icons": BODIES},
    "fluent-emoji-flat": {"prefix": "flat", "icons": {"pear": BODIES["pear"]}},
    "noto-v1": {"prefix": "blob", "icons": {}},
}


@pytest.fixture
def art_folder(tmp_path, monkeypatch):
    """Archives like the real ones, with these few drawings, and no check of their hashes."""
    monkeypatch.setattr(art, "verify", lambda package, archive: None)
    contents = {
        art.EMOJI_NAMES: {"data-by-emoji.json": NAMES},
        art.EMOJI_KEYWORDS: {"dist/emoji-en-US.json": {"🍐": ["fruit"]}},
    } | {package: {"icons.json": ICONS[style]} for style, package in gallery.ART_BY_STYLE.items()}
    for package, files in contents.items():
        with tarfile.open(tmp_path / package.file_name, "w:gz") as tar:
            for name, data in files.items():
                body = json.dumps(data).encode()
                info = tarfile.TarInfo(f"package/{name}")
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return tmp_path


def test_pictures_are_numbered_and_only_those_that_exist(art_folder):
    icon_sets = gallery.load_icon_sets(art_folder)
    pictures = list_pictures(gallery.load_concepts(art_folder), icon_sets, 2)
    assert [picture.image_idx for picture in pictures] == list(range(6))
    assert [(p.concept.name, p.style.key) for p in pictures[::2]] == [
        ("pear", "noto"),
        ("key", "noto"),
        ("pear", "fluent-emoji-flat"),
    ]


def test_the_gallery_is_drawn_once_and_read_back(art_folder, tmp_path, monkeypatch):
    first = open_gallery(art_folder, tmp_path / "out", SMALL)
    assert first.images.shape == (9, 16, 16, 3)
    monkeypatch.setattr(gallery, "draw", None)  # nothing may be drawn again
    second = open_gallery(art_folder, tmp_path / "out", SMALL)
    assert np.array_equal(first.images, second.images)
    assert second.pictures == first.pictures


def test_another_config_is_drawn_anew(art_folder, tmp_path):
    open_gallery(art_folder, tmp_path / "out", SMALL)
    larger = open_gallery(art_folder, tmp_path / "out", GalleryConfig(size=20, num_variants=1))
    assert larger.images.shape == (3, 20, 20, 3)


def test_variants_differ_and_repeat_exactly(art_folder):
    icons = IconSet(ICONS["noto"])
    key = list_pictures(gallery.load_concepts(art_folder), dict.fromkeys(ICONS, icons), 3)[3:6]
    drawings = [draw(picture, icons, SMALL) for picture in key]
    assert not np.array_equal(drawings[0], drawings[1])
    assert not np.array_equal(drawings[1], drawings[2])
    assert np.array_equal(drawings[1], draw(key[1], icons, SMALL))
