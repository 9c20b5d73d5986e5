"""A gallery of two hand-drawn concepts: numbering, determinism, storage."""

import numpy as np

from loadsheet.adapt import gallery
from loadsheet.adapt.gallery import GalleryConfig, draw, list_pictures, open_gallery

SMALL = GalleryConfig(size=16, num_variants=3)


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
    icons = gallery.load_icon_sets(art_folder)["noto"]
    key = list_pictures(
        gallery.load_concepts(art_folder), dict.fromkeys(gallery.ART_BY_STYLE, icons), 3
    )[3:6]
    drawings = [draw(picture, icons, SMALL) for picture in key]
    assert not np.array_equal(drawings[0], drawings[1])
    assert not np.array_equal(drawings[1], drawings[2])
    assert np.array_equal(drawings[1], draw(key[1], icons, SMALL))


def test_the_concepts_shown_most_come_first(art_folder, tmp_path):
    few = open_gallery(art_folder, tmp_path / "few", SMALL, num_concepts=1)
    assert {picture.concept.name for picture in few.pictures} == {"pear"}  # food outweighs objects


def test_each_drawing_is_counted(art_folder, tmp_path):
    counts = []
    open_gallery(
        art_folder,
        tmp_path / "out",
        SMALL,
        on_drawn=lambda done, total: counts.append((done, total)),
    )
    assert counts == [(i + 1, 9) for i in range(9)]
