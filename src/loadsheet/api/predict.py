"""`loadsheet.predict`: price many cases; a bad one is answered with its error and stops nothing.

import loadsheet as ls
case = {"case": "gemm", "device": "h100-sxm", "dtype": "bf16", "m": 4096, "n": 4096, "k": 4096}
print(ls.predict([case]).table())
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from loadsheet.cost.case import Answer, Answerer, FlopsAnswerer, answer_line
from loadsheet.cost.chart import Chart
from loadsheet.cost.image_case import OfflineImageAnswerer
from loadsheet.cost.kernel_case import AllreduceAnswerer, AttentionAnswerer, GemmAnswerer
from loadsheet.cost.text_case import LoadAnswerer, OfflineTextAnswerer
from loadsheet.table import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """`answers` in the order of the cases, each with the case's `id` and figures or an `error`."""

    answers: tuple[Answer, ...]

    @property
    def refused(self) -> int:
        return sum("error" in answer for answer in self.answers)

    def table(self) -> str:
        rows = [
            [str(index if answer.get("id") is None else answer["id"]), _figures(answer)]
            for index, answer in enumerate(self.answers, start=1)
        ]
        return table(["case", "simulated"], rows)

    def plot(self) -> Chart:
        """Every figure by the case's place in the list."""
        lines: dict[str, list[tuple[float, float]]] = {}
        for index, answer in enumerate(self.answers, start=1):
            for name, value in _numbers(answer):
                lines.setdefault(name, []).append((float(index), value))
        return Chart(
            title=f"{len(self.answers)} cases (simulated)",
            x_label="case",
            y_label="value",
            lines=lines,
            marks={},
        )


def predict(cases: Iterable[Mapping[str, object]]) -> Prediction:
    """Answers cases of the kinds and fields that `loadsheet predict` reads, one mapping each."""
    return Prediction(answers=tuple(answered(json.dumps(dict(case)) for case in cases)))


def answered(lines: Iterable[str]) -> Iterator[Answer]:
    """One answer per line of JSON, as they come."""
    known = _answerers()
    for line in lines:
        yield answer_line(line, known)


def _answerers() -> dict[str, Answerer]:
    """Every kind of case and who answers it."""
    return {
        "flops": FlopsAnswerer(),
        "gemm": GemmAnswerer(),
        "attention": AttentionAnswerer(),
        "allreduce": AllreduceAnswerer(),
        "offline_image": OfflineImageAnswerer(),
        "offline_text": OfflineTextAnswerer(),
        "closed_loop_text": LoadAnswerer("closed_loop_text"),
        "open_loop_text": LoadAnswerer("open_loop_text"),
        "replay_text": LoadAnswerer("replay_text"),
    }


def _numbers(answer: Answer) -> Iterator[tuple[str, float]]:
    for name, value in answer.items():
        if name != "id" and isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)


def _figures(answer: Answer) -> str:
    if "error" in answer:
        return f"refused: {answer['error']}"
    return ", ".join(f"{name} {value:,.6g}" for name, value in _numbers(answer))
