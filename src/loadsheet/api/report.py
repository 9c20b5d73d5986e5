"""What every comparison gives: a text, a chart, and the numbers behind both."""

from dataclasses import dataclass

from loadsheet.cost.chart import Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`sentences` are computed from `numbers`, which are in SI units and ready for JSON."""

    title: str
    body: str
    sentences: tuple[str, ...]
    chart: Chart
    numbers: dict[str, object]

    def table(self) -> str:
        said = "\n".join(f"- {line}" for line in self.sentences)
        return "\n\n".join(part for part in (self.title, self.body, said) if part)

    def plot(self) -> Chart:
        return self.chart

    def as_dict(self) -> dict[str, object]:
        return {**self.numbers, "sentences": list(self.sentences)}
