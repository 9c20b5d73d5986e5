"""Sections about results: how to evaluate, and how adaptation fails."""

import math
from collections.abc import Mapping

from loadsheet.adapt.comparison_facts import Facts, Page, best
from loadsheet.adapt.comparison_runs import Outcome, Spread
from loadsheet.adapt.comparison_words import NOTHING, number, percent, points, share

ALL_BUT = "all-but-"


def evaluation(facts: Facts, page: Page) -> None:
    page.heading("How to evaluate")
    rows = [
        [
            one.method,
            share(one.spread("accuracy")),
            share(one.spread("macro_f1")),
            number(one.mean("ece")),
            number(one.mean("nll")),
        ]
        for one in facts.text.main.values()
    ]
    page.table(["text", "accuracy", "macro F1", "ECE", "NLL"], rows)
    page.say(_certainty(facts), _told_apart(facts))
    rows = [
        [
            one.method,
            share(one.spread("style_score")),
            share(one.spread("concept_accuracy")),
            share(one.spread("concept_accuracy_held_out")),
            number(one.mean("fid_like")),
            number(one.mean("diversity")),
        ]
        for one in facts.image.main.values()
    ]
    headers = ["image", "style", "concept", "held-out concept", "FID-like", "diversity"]
    page.table(headers, rows)
    page.say(
        "A label settles whether a text was classified rightly. A picture has no right answer:",
        "two judges trained on real icons stand in, one for the style and one for what is drawn,",
        "and a distance between distributions for the rest.",
        _judges(facts),
        _ranks(facts),
    )


def _certainty(facts: Facts) -> str:
    top = best(facts.text.main.values(), "accuracy")
    if top is None:
        return ""
    tested, accuracy = top.mean("num_test_examples"), top.mean("accuracy")
    if tested is None or accuracy is None:
        return ""
    error = math.sqrt(accuracy * (1 - accuracy) / tested)
    return (
        f"With {tested:.0f} test texts the standard error of an accuracy of {percent(accuracy)} is "
        f"{points(error)}."
    )


def _told_apart(facts: Facts) -> str:
    lora, full = (facts.text.main.get(name) for name in ("lora", "full"))
    if lora is None or full is None:
        return ""
    one, other = lora.spread("accuracy"), full.spread("accuracy")
    if one is None or other is None:
        return ""
    if min(one.num, other.num) > 1 and one.overlaps(other):
        return (
            "The seeds of LoRA and of full fine-tuning overlap: these runs do not tell them apart."
        )
    ahead, gap = ("LoRA", one.mean - other.mean)
    if gap < 0:
        ahead, gap = "Full fine-tuning", -gap
    return f"{ahead} is ahead by {points(gap)}."


def _judges(facts: Facts) -> str:
    """What the judges are worth on real icons that they were not shown."""
    for one in facts.image.main.values():
        style, concept = one.mean("judge_style_accuracy"), one.mean("judge_concept_accuracy")
        if style is not None and concept is not None:
            return (
                f"On real icons they were not shown, the judges are right in {percent(style)} "
                f"(style) and {percent(concept)} (concept)."
            )
    return ""


def _ranks(facts: Facts) -> str:
    """Whether one number would do."""
    winners = {
        words: found.method
        for words, key, lowest in (
            ("style score", "style_score", False),
            ("held-out concepts", "concept_accuracy_held_out", False),
            ("FID-like distance", "fid_like", True),
            ("diversity", "diversity", False),
        )
        if (found := best(facts.image.main.values(), key, lowest=lowest)) is not None
    }
    if len(winners) < 2 or len(facts.image.main) < 2:
        return ""
    named = ", ".join(f"`{method}` by {words}" for words, method in winners.items())
    if len(set(winners.values())) == 1:
        return f"Here all of them agree on the best: {named}."
    return f"They disagree about the best method, so one number would mislead: {named}."


def failures(facts: Facts, page: Page) -> None:
    page.heading("Failure modes")
    _forgetting(facts, page)
    _style_bleed(facts, page)
    _domain_shift(facts, page)
    _confidence(facts, page)


def _forgetting(facts: Facts, page: Page) -> None:
    known = {
        one.method: spread
        for one in facts.image.main.values()
        if one.method != "scratch" and (spread := one.spread("base_forgetting")) is not None
    }
    if not known:
        page.gap("forgetting of the base: no image run reports base_forgetting")
        return
    named = ", ".join(f"`{method}` {percent(spread.mean)}" for method, spread in known.items())
    page.say(
        "**Forgetting.** The denoising loss on pictures of the base's own styles, with the same",
        f"noise before and after, rose by: {named}. A LoRA can be taken off again, and nothing",
        "is forgotten; a fully tuned denoiser is another model. On the encoder a probe changes no",
        "weight at all.",
    )


def _style_bleed(facts: Facts, page: Page) -> None:
    gaps = []
    for one in facts.image.main.values():
        seen, unseen = one.mean("concept_accuracy"), one.mean("concept_accuracy_held_out")
        style = one.mean("style_score_held_out")
        if seen is not None and unseen is not None and style is not None:
            gaps.append((one.method, seen, unseen, style))
    if not gaps:
        page.gap("style bleed: no image run reports held-out concepts")
        return
    named = "; ".join(
        f"`{method}` draws {percent(unseen)} of the held-out concepts recognisably "
        f"(seen ones: {percent(seen)}), {percent(style)} of them in the style"
        for method, seen, unseen, style in gaps
    )
    widest = max(gaps, key=lambda gap: gap[1] - gap[2])
    page.say(
        "**Style bleed.** The style is wanted for concepts that were never shown in it, without",
        f"the content of those that were: {named}. The widest gap between seen and held-out",
        f"concepts is {points(max(0.0, widest[1] - widest[2]))} (`{widest[0]}`): a wide one means",
        "that pictures were learnt by heart, a narrow one with few concepts recognised that the",
        "style pushed the concepts out.",
    )


def _domain_shift(facts: Facts, page: Page) -> None:
    cells: dict[tuple[str, str], str] = {}
    drops = []
    for (domain, method), one in sorted(facts.text.shifted.items()):
        inside, outside = _inside_and_out(domain, one.by_name("accuracy_by_domain"))
        if inside is None or outside is None:
            continue
        drops.append((inside - outside, domain, method))
        cells[domain, method] = f"{percent(inside)} → {percent(outside)}"
    if not drops:
        page.gap("domain shift: no text run was trained on a single domain")
        return
    page.say(
        "**Shift of domain and labels.** Trained on one domain and tested on it → on the others",
        "(all-but: trained on the rest and tested there → on the one left out), where texts are of",
        "another kind and labels of another balance:",
    )
    methods = [name for name in facts.text.curve if any(name == method for _, method in cells)]
    domains = sorted(
        {domain for domain, _ in cells}, key=lambda one: (one.startswith(ALL_BUT), one)
    )
    page.table(
        ["trained on", *methods],
        [[domain, *[cells.get((domain, name), NOTHING) for name in methods]] for domain in domains],
    )
    worst, domain, method = max(drops)
    page.say(f"The largest drop is {points(worst)}, `{method}` trained on {domain}.")


def _inside_and_out(
    domain: str, by_domain: Mapping[str, float]
) -> tuple[float | None, float | None]:
    """Mean accuracy on the domains that were trained on, and on the others."""
    named = domain.removeprefix(ALL_BUT)
    of_named = [value for name, value in by_domain.items() if name == named]
    of_rest = [value for name, value in by_domain.items() if name != named]
    inside, outside = (of_rest, of_named) if domain.startswith(ALL_BUT) else (of_named, of_rest)
    if not inside or not outside:
        return None, None
    return sum(inside) / len(inside), sum(outside) / len(outside)


def _confidence(facts: Facts, page: Page) -> None:
    known: list[tuple[Outcome, Spread]] = [
        (one, ece) for one in facts.text.main.values() if (ece := one.spread("ece")) is not None
    ]
    if len(known) < 2:
        page.gap("calibration: fewer than two text methods report an ECE")
        return
    worst = max(known, key=lambda pair: pair[1].mean)
    calm = min(known, key=lambda pair: pair[1].mean)
    page.say(
        f"**False confidence.** The stated probability of `{worst[0].method}` misses the observed",
        f"share by {percent(worst[1].mean)} on average (ECE), that of `{calm[0].method}` by",
        f"{percent(calm[1].mean)}. A diffusion model states no probability: its confident mistakes",
        "are pictures, and only a judge or a person sees them.",
    )
