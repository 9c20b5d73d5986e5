"""Texts with a label each: what a classifier learns from, whatever file they came from."""

from collections import Counter
from dataclasses import dataclass

from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledText:
    """`label` indexes the set's labels. Texts of one `group` (an article, a page of reviews) are
    written by the same hand about the same thing and must not be split between train and test."""

    text: str
    label: int
    domain: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """`rows` in the order of the source; `labels` are the names of the classes."""

    rows: tuple[LabelledText, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ConfigError(
                f"the data has {len(self.labels)} label ({', '.join(self.labels)}); "
                "a classifier needs at least 2"
            )

    @property
    def domains(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted({row.domain for row in self.rows}))

    def of_domains(self, domains: tuple[str, ...]) -> "LabelledSet":
        rows = tuple(row for row in self.rows if row.domain in domains)
        return LabelledSet(rows=rows, labels=self.labels)

    def label_counts(self) -> tuple[int, ...]:
        counts = Counter(row.label for row in self.rows)
        return tuple(counts[idx] for idx in range(len(self.labels)))
