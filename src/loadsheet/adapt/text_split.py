"""Train, validation and test without leaks: duplicates go, what belongs together stays together.

    rows ─ drop duplicates ─► join (same source, or a shared run of 8 words) ─► hash of the group
                                                                    ├─ 70 % train
                                                                    ├─ 10 % validation
                                                                    └─ 20 % test

A side is a pure function of the texts of a group, so it depends on no seed and on no order of rows.
Identical texts with different labels are dropped altogether: nobody can learn or be tested on them.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadsheet.adapt.labelled_text import LabelledSet, LabelledText
from loadsheet.errors import ConfigError

SHARED_WORDS = 8
_TEST_SHARE = 0.2
_VALIDATION_SHARE = 0.1
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSplit:
    """`num_dropped` rows were duplicates or contradicted themselves; `num_joined` groups of the
    source were joined to another because they quote each other."""

    train: LabelledSet
    validation: LabelledSet
    test: LabelledSet
    num_dropped: int
    num_joined: int


def split_texts(data: LabelledSet) -> TextSplit:
    """Raises ConfigError when a side would lack a label."""
    rows = distinct(data.rows)
    names = _joined_groups(rows)
    sides: dict[str, list[LabelledText]] = {"train": [], "validation": [], "test": []}
    for row, name in zip(rows, names, strict=True):
        sides[_side(name)].append(row)
    split = TextSplit(
        **{side: LabelledSet(rows=tuple(kept), labels=data.labels) for side, kept in sides.items()},
        num_dropped=len(data.rows) - len(rows),
        num_joined=len({row.group for row in rows}) - len(set(names)),
    )
    for name, side in (("train", split.train), ("test", split.test)):
        _check_labels(name, side, len(data.rows))
    return split


def distinct(rows: Sequence[LabelledText]) -> list[LabelledText]:
    """The first of each text, compared by its lower-case words; none where labels disagree."""
    labels: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for row in rows:
        labels[_words(row.text)].add(row.label)
    seen: set[tuple[str, ...]] = set()
    kept = []
    for row in rows:
        words = _words(row.text)
        if words and words not in seen and len(labels[words]) == 1:
            seen.add(words)
            kept.append(row)
    return kept


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _joined_groups(rows: Sequence[LabelledText]) -> list[str]:
    """A name per row: equal for rows that must stay together. Union-find over groups and runs."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            parents[name] = parents.get(parent, parent)
            name = parent
        return name

    owners: dict[tuple[str, ...], str] = {}
    for row in rows:
        for run in _runs(row.text):
            first, second = sorted((root(owners.setdefault(run, row.group)), root(row.group)))
            parents[second] = first
    texts: dict[
        str, str
    ] = {}  # a group is named by its smallest text, whatever the source calls it
    for row in rows:
        name = root(row.group)
        texts[name] = min(texts.get(name, row.text), row.text)
    return [texts[root(row.group)] for row in rows]


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = _words(text)
    for start in range(len(words) - SHARED_WORDS + 1):
        yield words[start : start + SHARED_WORDS]


def _side(name: str) -> str:
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
    if share < _TEST_SHARE:
        return "test"
    return "validation" if share < _TEST_SHARE + _VALIDATION_SHARE else "train"


def _check_labels(name: str, side: LabelledSet, num_rows: int) -> None:
    counts = side.label_counts()
    for label, count in zip(side.labels, counts, strict=True):
        if count == 0:
            raise ConfigError(
                f"no text labelled {label!r} falls into the {name} part of {num_rows} rows; "
                "give more rows of it"
            )
