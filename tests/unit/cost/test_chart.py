from xml.etree import ElementTree

import pytest

from loadsheet.cost.chart import Chart
from loadsheet.errors import ConfigError


def chart(**changes) -> Chart:
    fields = {
        "title": "a < b",
        "x_label": "tokens",
        "y_label": "seconds",
        "lines": {"one": [(1.0, 1.0), (100.0, 10.0)]},
        "marks": {"point": (10.0, 5.0)},
    }
    return Chart(**{**fields, **changes})


def test_it_is_a_picture_with_everything_in_it():
    root = ElementTree.fromstring(chart().svg())
    text = " ".join(root.itertext())
    assert all(word in text for word in ("a < b", "tokens", "seconds", "one", "point"))


def test_equal_ratios_take_equal_room():
    root = ElementTree.fromstring(chart(lines={"one": [(1, 1), (10, 10), (100, 100)]}).svg())
    line = root.find("{http://www.w3.org/2000/svg}polyline")
    assert line is not None
    (x0, y0), (x1, y1), (x2, y2) = (
        tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()
    )
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)


def test_zero_has_no_logarithm():
    with pytest.raises(ConfigError, match="above zero"):
        chart(marks={"zero": (0, 1)}).svg()


def test_narrow_axes_get_ticks_between_powers(tmp_path):
    wide = " ".join(ElementTree.fromstring(chart(lines={"a": [(1, 1), (1e6, 1)]}).svg()).itertext())
    narrow = chart(lines={"a": [(150, 1), (900, 2)]}, marks={}).svg()
    shown = " ".join(ElementTree.fromstring(narrow).itertext())
    assert "500" in shown and "200" in shown
    assert "500" not in wide


def test_it_is_saved_as_svg_only(tmp_path):
    chart().save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text("utf-8") == chart().svg()
    with pytest.raises(ConfigError, match=r"ending \.svg"):
        chart().save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="cannot be written"):
        chart().save(tmp_path / "missing" / "a.svg")
