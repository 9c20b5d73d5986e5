"""Sections about training: objective, what is adapted, data, cost of a step, convergence."""

from collections.abc import Mapping
from itertools import pairwise

from loadsheet.adapt.comparison_facts import Facts, Page, best, ratio, smallest_lora
from loadsheet.adapt.comparison_runs import Outcome
from loadsheet.adapt.comparison_words import (
    NOTHING,
    count,
    number,
    percent,
    points,
    seconds,
    share,
    size,
    times,
)
from loadsheet.track import StoredRun

_NO_BASE = ("scratch", "tfidf")
_NEAR = 0.01  # one percentage point
_PLAUSIBLE = (0.55, 1.25)  # LoRA step / full step: optimiser saved, small products added
_SETTLED = 0.9  # of the fall of the loss


def objective(facts: Facts, page: Page) -> None:
    page.heading("Objective")
    page.say(
        "A classifier is trained on the cross-entropy of one label per text: one pass, one answer,",
        "one loss that falls when the model gets better. A diffusion model is trained on the mean",
        "squared error of its prediction at a noise level drawn at random: every step asks another",
        "question about another picture, and most of what is left of the loss is noise that nobody",
        "can predict.",
    )
    falls = [
        _fall_sentence("encoder", facts.text.main.get("full"), "accuracy"),
        _fall_sentence("denoiser", facts.image.main.get("full"), "style_score"),
    ]
    if any(falls):
        page.say(*falls, "A diffusion loss is no measure of how well a style was learnt.")
    else:
        page.gap("how far the loss falls on either side: no full fine-tuning with logged losses")


def _fall_sentence(name: str, outcome: Outcome | None, key: str) -> str:
    run = _with_losses(outcome)
    reached = outcome.mean(key) if outcome is not None else None
    if run is None or reached is None:
        return ""
    first, last = _ends(_losses(run))
    change = f"{percent(abs(1 - last / first))} {'lower' if last < first else 'higher'}"
    return (
        f"Full fine-tuning of the {name} took the training loss from {number(first)} to "
        f"{number(last)} ({change}) and reached {key.replace('_', ' ')} {percent(reached)}."
    )


def what_is_adapted(facts: Facts, page: Page) -> None:
    page.heading("What is adapted")
    for side, key in ((facts.text.main, "accuracy"), (facts.image.main, "style_score")):
        rows = [
            [
                one.method,
                count(one.mean("trainable_parameters")),
                _share_of_all(one, side),
                size(one.mean("shipped_bytes")),
                share(one.spread(key)),
            ]
            for one in side.values()
        ]
        title = "text" if key == "accuracy" else "image"
        result = key.replace("_", " ")
        page.table([title, "trained parameters", "of all", "bytes to ship", result], rows)
    for name, side in (("encoder", facts.text.main), ("denoiser", facts.image.main)):
        lora, full = smallest_lora(side.values()), side.get("full")
        shipped = ratio(full, lora, "shipped_bytes")
        if lora is None or shipped is None:
            page.gap(f"what LoRA saves on the {name}: needs a run of lora and of full")
        else:
            page.say(
                f"On the {name} `{lora.method}` trains {_share_of_all(lora, side)} of the",
                f"parameters and ships {size(lora.mean('shipped_bytes'))}, {times(shipped)} less",
                "than full fine-tuning.",
            )


def _share_of_all(outcome: Outcome, main: Mapping[str, Outcome]) -> str:
    """Of the model that answers: a probe rests on a whole encoder, TF-IDF on none."""
    trained, total = outcome.mean("trainable_parameters"), outcome.mean("total_parameters")
    if outcome.method == "probe":
        total = max((one.mean("total_parameters") or 0 for one in main.values()), default=None)
    if trained is None or not total or outcome.method == "tfidf":
        return NOTHING
    return percent(trained / total)


def data_needed(facts: Facts, page: Page) -> None:
    page.heading("Data needed")
    curve = {method: by_num for method, by_num in facts.text.curve.items() if len(by_num) > 1}
    if curve:
        sizes = sorted({num for by_num in curve.values() for num in by_num})
        rows = [
            [str(num), *[_accuracy(by_num.get(num)) for by_num in curve.values()]] for num in sizes
        ]
        page.table(["training texts", *curve], rows)
        page.say(*[_enough(method, by_num) for method, by_num in curve.items()])
    else:
        page.gap("a learning curve over the number of texts: one number per method was run")
    _head_start(page, "text", facts.text.main, "accuracy", "accuracy")
    _head_start(page, "image", facts.image.main, "concept_accuracy", "concepts recognised")


def _accuracy(outcome: Outcome | None) -> str:
    return share(outcome.spread("accuracy")) if outcome is not None else "–"


def _enough(method: str, by_num: Mapping[int, Outcome]) -> str:
    known = {num: mean for num, one in by_num.items() if (mean := one.mean("accuracy")) is not None}
    top, most = max(known.values()), max(known)
    enough = min(num for num, mean in known.items() if mean >= top - _NEAR)
    if enough == most:
        return f"`{method}` has not had enough: it still gains with the last of {most} texts."
    return f"`{method}` is within one point of its best ({percent(top)}) with {enough} of {most}."


def _head_start(page: Page, side: str, main: Mapping[str, Outcome], key: str, words: str) -> None:
    """What pre-training is worth: the same data from random weights."""
    scratch = main.get("scratch")
    adapted = best((one for one in main.values() if one.method not in _NO_BASE), key)
    low = scratch.mean(key) if scratch is not None else None
    high = adapted.mean(key) if adapted is not None else None
    if adapted is None or low is None or high is None:
        page.gap(f"what the {side} base is worth: needs a run from scratch")
        return
    page.say(
        f"What the {side} base is worth: from random weights, with the same data,",
        f"{percent(low)} {words}; `{adapted.method}` from the base {percent(high)},",
        f"{points(high - low)} {'more' if high >= low else 'less'}.",
    )


def cost_of_a_step(facts: Facts, page: Page) -> None:
    page.heading("Cost of a step")
    rows = [
        [
            f"{side}: {one.method}",
            seconds(one.mean("s_per_step")),
            seconds(quiet_step_s(one)),
            count(one.mean("num_steps")),
            seconds(one.mean("seconds")),
            size(one.mean("peak_memory_bytes")),
        ]
        for side, main in (("text", facts.text.main), ("image", facts.image.main))
        for one in main.values()
        if one.mean("seconds") is not None
    ]
    headers = ["measured", "mean step", "quiet step", "steps", "training", "peak memory"]
    page.table(headers, rows)
    page.say(
        "Seconds are wall time on a machine that may have had other work. A quiet step is the mean",
        "of the fastest stretch between two logged losses: the least disturbed, and what ratios",
        "are made of here.",
    )
    page.say(
        "Backward multiplies every matrix twice, once for its input and once for its weight. LoRA",
        "leaves out the second product for the frozen weights, so in FLOPs its step cannot fall",
        "below two thirds of a full one, however few parameters it trains; in time it also saves",
        "the optimiser's passes over the weights that it does not change.",
    )
    for name, main in (("encoder", facts.text.main), ("denoiser", facts.image.main)):
        _lora_beside_full(page, name, main)


def _lora_beside_full(page: Page, name: str, main: Mapping[str, Outcome]) -> None:
    lora, full = smallest_lora(main.values()), main.get("full")
    quick = quiet_step_s(lora) if lora is not None else None
    slow = quiet_step_s(full) if full is not None else None
    if lora is None or quick is None or slow is None:
        page.gap(f"the cost of a LoRA step beside a full one on the {name}")
        return
    memory = ratio(lora, full, "peak_memory_bytes")
    page.say(
        f"Measured on the {name}: a quiet step of `{lora.method}` takes {percent(quick / slow)} of",
        "a full one" + (f", its peak memory is {percent(memory)}." if memory is not None else "."),
        _doubt(quick / slow),
    )


def _doubt(ratio_of_steps: float) -> str:
    if _PLAUSIBLE[0] <= ratio_of_steps <= _PLAUSIBLE[1]:
        return ""
    return (
        "The count allows two thirds to a little over one: these two runs did not have the machine "
        "to the same degree, so trust the count and not this ratio."
    )


def quiet_step_s(outcome: Outcome) -> float | None:
    """Seconds per step of the fastest stretch between two logged losses of any seed."""
    stretches = [
        (after.time_s - before.time_s) / (after.step - before.step)
        for run in outcome.runs
        for before, after in pairwise(run.series("loss"))
    ]
    return min((one for one in stretches if one > 0), default=None)


def convergence(facts: Facts, page: Page, figure: str | None) -> None:
    page.heading("Convergence")
    rows = []
    for side, main in (("text", facts.text.main), ("image", facts.image.main)):
        for one in main.values():
            run = _with_losses(one)
            if run is None:
                continue
            losses = _losses(run)
            ends = map(number, _ends(losses))
            settled = _settled_at(losses)
            cells = (NOTHING if settled is None else str(settled), str(losses[-1][0]))
            rows.append([f"{side}: {one.method}", *ends, *cells])
    if not rows:
        page.gap("loss against steps: no run logged its loss")
        return
    page.table(["loss of", "first", "last", "90 % of the fall by step", "of steps"], rows)
    if figure is not None:
        page.say(f"![Training loss of every method on both sides]({figure})")


def _with_losses(outcome: Outcome | None) -> StoredRun | None:
    """The first seed that logged enough of its loss to speak of a beginning and an end."""
    runs = outcome.runs if outcome is not None else ()
    return next((run for run in runs if len(run.series("loss")) >= 4), None)


def losses_of(outcome: Outcome) -> list[tuple[int, float]]:
    """(step, loss) of one seed; empty where none was logged."""
    run = _with_losses(outcome)
    return _losses(run) if run is not None else []


def _losses(run: StoredRun) -> list[tuple[int, float]]:
    return [(point.step, point.values["loss"]) for point in run.series("loss")]


def _ends(losses: list[tuple[int, float]]) -> tuple[float, float]:
    """The first value, and the mean of the last quarter: single losses of a denoiser jump."""
    tail = [loss for _, loss in losses[-max(1, len(losses) // 4) :]]
    return losses[0][1], sum(tail) / len(tail)


def _settled_at(losses: list[tuple[int, float]]) -> int | None:
    """The first step whose loss has made 90 % of the fall; None where the loss did not fall."""
    first, last = _ends(losses)
    if last >= first:
        return None
    goal = first - _SETTLED * (first - last)
    return next(step for step, loss in losses if loss <= goal)
