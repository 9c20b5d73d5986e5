"""What every section of the comparison draws on, and the page that it writes to."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from loadsheet.adapt.comparison_cost import ComparisonCost
from loadsheet.adapt.comparison_runs import ImageSide, Outcome, TextSide
from loadsheet.adapt.comparison_words import markdown_table

WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Both sides and the exact counts."""

    text: TextSide
    image: ImageSide
    cost: ComparisonCost


@dataclass(slots=True)
class Page:
    """Markdown in the making; `gaps` are claims that these runs do not support."""

    blocks: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """A section that stayed empty says so."""
        if self.blocks and self.blocks[-1].startswith("## "):
            self.say("These runs do not tell: see the end of the page.")
        self.blocks.append(f"## {text}")

    def say(self, *sentences: str) -> None:
        """One paragraph."""
        paragraph = " ".join(sentence for sentence in sentences if sentence)
        self.blocks.append(
            textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
        )

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.blocks.append(markdown_table(headers, rows))

    def gap(self, text: str) -> None:
        self.gaps.append(text)

    def markdown(self) -> str:
        return "\n\n".join(self.blocks) + "\n"


def ratio(one: Outcome | None, other: Outcome | None, key: str) -> float | None:
    """one / other of the means of `key`; None where a number is missing or nothing."""
    if one is None or other is None:
        return None
    top, bottom = one.mean(key), other.mean(key)
    return top / bottom if top is not None and bottom else None


def best(outcomes: Iterable[Outcome], key: str, *, lowest: bool = False) -> Outcome | None:
    """The outcome with the highest (or lowest) mean of `key`."""
    known = [(mean, one) for one in outcomes if (mean := one.mean(key)) is not None]
    if not known:
        return None
    pick = min if lowest else max
    return pick(known, key=lambda pair: pair[0])[1]


def smallest_lora(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The LoRA with the fewest parameters."""
    loras = (one for one in outcomes if one.method.startswith("lora"))
    return best(loras, "trainable_parameters", lowest=True)
