"""Iconify bodies become SVG documents with the right viewBox, and images with the right pixels."""

import pytest

from loadsheet.adapt.icons import IconSet, ViewBox, render
from loadsheet.errors import AssetError

SET = IconSet(
    {
        "prefix": "hand",
        "width": 32,
        "height": 24,
        "icons": {
            "left": {"body": '<rect x="0" y="0" width="16" height="24" fill="#ff0000"/>'},
            "own": {"body": "<g/>", "left": -2, "top": 3, "width": 10},
            "glyph": {"body": '<rect width="32" height="32" fill="currentColor"/>', "height": 32},
        },
        "aliases": {
            "right": {"parent": "left", "hFlip": True},
            "again": {"parent": "right", "hFlip": True},
            "loop": {"parent": "loop"},
        },
    }
)


def test_view_box_comes_from_the_set():
    assert str(SET.icon("left").view_box) == "0 0 32 24"


def test_view_box_of_the_icon_wins_field_by_field():
    assert str(SET.icon("own").view_box) == "-2 3 10 24"


def test_view_box_falls_back_to_the_format_default():
    bare = IconSet({"prefix": "bare", "icons": {"dot": {"body": "<g/>"}}})
    assert str(bare.icon("dot").view_box) == "0 0 16 16"


def test_aliases_flip_and_flip_back():
    assert "scale(-1 1)" in SET.icon("right").svg()
    assert SET.icon("again").svg() == SET.icon("left").svg()


@pytest.mark.parametrize("name", ["absent", "loop"])
def test_unknown_and_circular_names_are_refused(name):
    with pytest.raises(AssetError, match=name):
        SET.icon(name)


def test_contains_icons_and_aliases():
    assert "left" in SET
    assert "right" in SET
    assert "absent" not in SET


def test_render_is_square_on_white():
    image = render(SET.icon("left"), 32)
    assert image.shape == (32, 32, 3)
    assert image[16, 4].tolist() == [255, 0, 0]  # drawing: x 0..16 of 32
    assert image[16, 28].tolist() == [255, 255, 255]
    assert image[1, 4].tolist() == [255, 255, 255]  # 24 high, centred in 32: 4 rows of margin


def test_render_of_a_flipped_alias_mirrors_the_picture():
    assert (render(SET.icon("right"), 32)[:, ::-1] == render(SET.icon("left"), 32)).all()


def test_current_color_is_set():
    assert 'color="#123456"' in SET.icon("glyph").svg(color="#123456")
    assert render(SET.icon("glyph"), 8)[4, 4].tolist() == [0x22, 0x22, 0x22]


def test_moved_box_keeps_the_centre_and_shrinks_with_zoom():
    box = ViewBox(left=0, top=0, width=10, height=10).moved(0, 0, 2)
    assert (box.left, box.top, box.width, box.height) == (2.5, 2.5, 5, 5)


def test_moved_box_shifts_against_the_drawing():
    # the drawing moves right by a tenth of the picture when the window moves left by a tenth
    box = ViewBox(left=0, top=0, width=10, height=10).moved(0.1, 0, 1)
    assert (box.left, box.top) == (-1, 0)
