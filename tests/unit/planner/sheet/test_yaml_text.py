"""What is written as YAML is read back as the same data."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from loadsheet.planner.sheet.yaml_text import yaml_text

TEXT = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    [
        "yes",
        "null",
        "1.0",
        "# no",
        "a: b",
        "- x",
        "",
        "on",
        "0x1",
        "line\nline\n",
        "line\n\nline\n",
        "x\ny\n\n",
        "  two\nlines\n",
    ]
)
SCALARS = TEXT | st.integers() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4))
def test_round_trip(document):
    assert yaml.safe_load(yaml_text([document])) == document


def test_several_documents():
    assert list(yaml.safe_load_all(yaml_text([{"a": 1}, {"b": [2]}]))) == [{"a": 1}, {"b": [2]}]
