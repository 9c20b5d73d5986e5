"""The header that names what was ignored."""

import pytest

from loadsheet.server.body import ignored_header


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (("a", "b.c"), "a,b.c"),
        (("a", "a"), "a"),
        (("evil\r\nX-Other: 1",), "?"),
        (("ключ", "x" * 65), "?"),
    ],
)
def test_names_are_safe_in_a_header(names, header):
    assert ignored_header(names) == {"X-Loadsheet-Ignored": header}


def test_no_names_no_header():
    assert ignored_header(()) == {}


def test_the_list_is_bounded():
    header = ignored_header(tuple(f"f{index}" for index in range(1000)))["X-Loadsheet-Ignored"]
    assert len(header.split(",")) == 20
