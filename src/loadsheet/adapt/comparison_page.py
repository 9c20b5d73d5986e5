"""The page that compares adapting a Transformer encoder with adapting a diffusion model.

Every number in it comes from a stored run or from an exact count of the cost model; every sentence
with a number is computed, so that the page cannot say what the runs do not.
"""

from collections.abc import Iterable, Sequence

from loadsheet.adapt.comparison_cost import comparison_cost
from loadsheet.adapt.comparison_facts import Facts, Page
from loadsheet.adapt.comparison_quality import evaluation, failures
from loadsheet.adapt.comparison_runs import TextSide, image_side, text_side
from loadsheet.adapt.comparison_serving import passes, quality_by_steps, reuse, serving
from loadsheet.adapt.comparison_training import (
    convergence,
    cost_of_a_step,
    data_needed,
    objective,
    what_is_adapted,
)
from loadsheet.track import StoredRun

TITLE = "# Adapting Transformers and diffusion models"

_TRAINING = (objective, what_is_adapted, data_needed, cost_of_a_step)
_RESULTS = (evaluation, failures, serving, passes, reuse, quality_by_steps)


def gather(runs: Sequence[StoredRun]) -> Facts:
    """Raises ConfigError where one side has no finished run."""
    return Facts(text=text_side(runs), image=image_side(runs), cost=comparison_cost())


def comparison_page(facts: Facts, *, figure: str | None = None) -> str:
    """Markdown; `figure` is the link to the picture of `write_figure`, if it is shown."""
    page = Page()
    _introduction(facts, page)
    for write in _TRAINING:
        write(facts, page)
    convergence(facts, page, figure)
    for write in _RESULTS:
        write(facts, page)
    _limits(facts, page)
    return page.markdown()


def _introduction(facts: Facts, page: Page) -> None:
    page.blocks.append(TITLE)
    text, image = facts.text, facts.image
    page.say(
        "A pre-trained encoder of the BERT family learns to classify; a diffusion model learns a",
        "new style. `loadsheet adapt compare` wrote this page from the runs named at its end:",
        "times, memory and scores are measured in those runs, FLOPs and bytes moved are exact",
        "counts of the architectures, and no number is from elsewhere.",
    )
    page.say(
        f"Text: {_named(text.main)}; {text.num_examples} training texts, labels {_labels(text)}.",
        f"Images: {_named(image.main)}; style {image.style}, {image.num_steps} steps. Ranges in",
        "brackets are the lowest and the highest of several seeds.",
        f"Processor: {_machines(facts)}.",
    )


def _named(methods: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in methods)


def _labels(text: TextSide) -> str:
    labels = next(iter(text.main.values())).runs[0].summary.get("labels")
    return ", ".join(map(str, labels)) if isinstance(labels, list) else "not stored"


def _machines(facts: Facts) -> str:
    names = {str(run.environment.get("cpu", "?")) for run in _runs(facts)}
    return ", ".join(sorted(names))


def _limits(facts: Facts, page: Page) -> None:
    page.heading("What these runs do not show")
    lone = [
        f"{side} {one.method}"
        for side, main in (("text", facts.text.main), ("image", facts.image.main))
        for one in main.values()
        if len(one.runs) == 1
    ]
    if lone:
        page.gap(f"how far another seed would move these, run once: {', '.join(lone)}")
    page.blocks.append("\n".join(f"- {gap}" for gap in page.gaps))
    page.heading("The runs")
    page.blocks.append("\n".join(f"- `{run.id}` ({run.command})" for run in _runs(facts)))


def _runs(facts: Facts) -> list[StoredRun]:
    outcomes = [
        *facts.text.main.values(),
        *(one for by_num in facts.text.curve.values() for one in by_num.values()),
        *facts.text.shifted.values(),
        *facts.image.main.values(),
    ]
    found = {run.id: run for outcome in outcomes for run in outcome.runs}
    return [found[run_id] for run_id in sorted(found)]
