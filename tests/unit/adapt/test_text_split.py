import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from loadsheet.adapt.labelled_text import LabelledSet, LabelledText
from loadsheet.adapt.text_split import distinct, split_texts
from loadsheet.errors import ConfigError

LABELS = ("negative", "positive")


def row(text, label=0, group=None, domain="movie"):
    return LabelledText(text=text, label=label, domain=domain, group=group or f"g:{text}")


def many(num=200):
    return [row(f"text number {index} says {index * 7}", index % 2) for index in range(num)]


def texts(side):
    return {one.text for one in side.rows}


def test_sides_are_disjoint_and_complete():
    split = split_texts(LabelledSet(rows=tuple(many()), labels=LABELS))
    sides = [texts(split.train), texts(split.validation), texts(split.test)]
    assert sum(map(len, sides)) == 200 == len(set.union(*sides))
    assert 20 <= len(sides[2]) <= 60 and 8 <= len(sides[1]) <= 35


def test_sides_depend_on_no_order():
    rows = many()
    one = split_texts(LabelledSet(rows=tuple(rows), labels=LABELS))
    other = split_texts(LabelledSet(rows=tuple(reversed(rows)), labels=LABELS))
    assert texts(one.test) == texts(other.test)


def test_duplicates_go_whatever_their_spelling():
    rows = [row("A good film!"), row("a GOOD film"), row("bad", 1), row("...")]
    assert [one.text for one in distinct(rows)] == ["A good film!", "bad"]


def test_contradictions_go_altogether():
    assert distinct([row("so so", 0), row("so so", 1), row("bad", 1)]) == [row("bad", 1)]


def test_an_article_stays_together():
    rows = many() + [row(f"sentence {index} of it", index % 2, "nyt:7") for index in range(40)]
    split = split_texts(LabelledSet(rows=tuple(rows), labels=LABELS))
    homes = [
        any(one.group == "nyt:7" for one in side.rows)
        for side in (split.train, split.validation, split.test)
    ]
    assert sum(homes) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_no_run_of_eight_words_is_on_two_sides(shared):
    """Some texts quote one of thirty sentences; whoever quotes the same stays together."""
    quotes = [
        row(f"reader {index} says one two {name} four five six seven eight {name} again", index % 2)
        for index, name in enumerate(shared)
    ]
    split = split_texts(LabelledSet(rows=tuple(many(300) + quotes), labels=LABELS))
    homes = {}
    for name, side in (("train", split.train), ("val", split.validation), ("test", split.test)):
        for one in side.rows:
            words = one.text.lower().split()
            for start in range(len(words) - 7):
                run = tuple(words[start : start + 8])
                assert homes.setdefault(run, name) == name


def test_a_label_that_misses_a_side_is_named():
    rows = [*many(), row("the only one of its kind", 2)]
    with pytest.raises(ConfigError, match="'rare'"):
        split_texts(LabelledSet(rows=tuple(rows), labels=(*LABELS, "rare")))
