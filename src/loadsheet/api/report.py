"""What every comparison gives: a text, a chart, and the numbers behind both."""

from dataclasses import dataclass

from loadsheet.cost.chart import Chart
from loadsheet.table import bullets


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`sentences` are computed from `numbers`, which are in SI units and ready for JSON."""

    title: str
    body: str
    sentences: tuple[str, ...]
    chart: Chart
    numbers: dict[str, object]

    def table(self) -> str:
        return "\n\n".join([self.title, self.body, bullets(self.sentences)])

    def plot(self) -> Chart:
        return self.chart

    def as_dict(self) -> dict[str, object]:
        return {**self.numbers, "sentences": list(self.sentences)}
