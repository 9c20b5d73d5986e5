"""Sections about serving: one pass or T steps, tokens or canvas, KV reuse, quality by steps."""

from collections import defaultdict
from collections.abc import Mapping

from loadsheet.adapt.comparison_cost import (
    CACHE_CONTEXT,
    CAPTION_TOKENS,
    COMPANY,
    PROMPT_TOKENS,
    REPLY_TOKENS,
    TEXT_TOKENS,
    ComparisonCost,
)
from loadsheet.adapt.comparison_facts import Facts, Page
from loadsheet.adapt.comparison_runs import Outcome
from loadsheet.adapt.comparison_words import flops, number, percent, seconds, size, times
from loadsheet.cost.operator import Total

_NEAR = 0.02  # of a style score


def serving(facts: Facts, page: Page) -> None:
    page.heading("Cost of serving the result")
    cost = facts.cost
    page.table(
        ["exact counts", "FLOPs", "of one"],
        [
            [f"a text of {TEXT_TOKENS} tokens classified", flops(cost.classify.flops), "1 ×"],
            ["a denoise step, both halves of guidance", *_beside(cost.denoise.flops, cost)],
            ["the VAE's decoder, once", *_beside(cost.vae_decode.flops, cost)],
            [f"an image of {cost.num_steps} steps, all of it", *_beside(cost.image_flops, cost)],
        ],
    )
    page.say(
        f"A class is one encoder pass; a picture is {cost.num_steps} denoise steps, a caption",
        f"encoding and a decoding: {times(cost.image_flops / cost.classify.flops)} the FLOPs. That",
        "is why a classification rides along in any step loop, and an image is what a step loop is",
        "built around.",
    )
    per_text = _quickest(facts.text.main, "ms_per_example")
    per_image = _quickest(facts.image.main, "ms_per_image")
    if per_text is None or per_image is None:
        page.gap("measured milliseconds of a classified text beside those of an image")
        return
    page.say(
        f"Measured, the least disturbed run of each: {seconds(per_text / 1e3)} per text,",
        f"{seconds(per_image / 1e3)} per image of {cost.num_steps} steps,",
        f"{times(per_image / per_text)} as long.",
    )


def _quickest(main: Mapping[str, Outcome], key: str) -> float | None:
    """Of all runs that use the pre-trained architecture, TF-IDF left out."""
    values = [
        value
        for name, one in main.items()
        if name != "tfidf"
        for run in one.runs
        if (value := run.number(key)) is not None
    ]
    return min(values, default=None)


def _beside(value: int, cost: ComparisonCost) -> tuple[str, str]:
    return flops(value), times(value / cost.classify.flops)


def passes(facts: Facts, page: Page) -> None:
    cost = facts.cost
    page.heading("N tokens × one pass, T steps × whole canvas")
    reply = cost.prompt.flops + cost.reply_flops
    token, step = cost.cached, cost.denoise
    page.table(
        ["exact counts", "FLOPs", "bytes moved", "FLOPs per byte"],
        [
            [f"one token of SmolLM2-135M at {CACHE_CONTEXT} tokens", *_moved(token)],
            ["one denoise step of the image model", *_moved(step)],
        ],
    )
    page.say(
        f"A reply of {REPLY_TOKENS} tokens to {PROMPT_TOKENS} is one pass over the prompt and",
        f"{REPLY_TOKENS - 1} passes of one token: {flops(reply)}. An image is {cost.num_steps}",
        f"passes over all {cost.latent_positions} positions of the latent canvas, twice for",
        f"guidance: {flops(cost.num_steps * step.flops)}. A token needs every weight for a single",
        f"position, {number(_intensity(token))} FLOP per byte, and waits for memory; a step uses",
        f"each weight at every position, {number(_intensity(step))} FLOP per byte for one picture,",
        f"and is nearer to waiting for arithmetic. {COMPANY} at once raise that by",
        f"{times(_intensity(cost.cached_in_company) / _intensity(token))} for tokens and",
        f"{times(_intensity(cost.denoise_in_company) / _intensity(step))} for pictures.",
    )


def _moved(amount: Total) -> tuple[str, str, str]:
    moved = amount.bytes_read + amount.bytes_written
    return flops(amount.flops), size(moved), number(_intensity(amount))


def _intensity(amount: Total) -> float:
    return amount.flops / (amount.bytes_read + amount.bytes_written)


def reuse(facts: Facts, page: Page) -> None:
    cost = facts.cost
    page.heading("KV reuse, and none")
    saved = (cost.num_steps - 1) * cost.caption.flops
    page.say(
        f"With {CACHE_CONTEXT - 1} tokens in the KV cache the next one costs",
        f"{flops(cost.cached.flops)}; without the cache all {CACHE_CONTEXT} are computed again,",
        f"{flops(cost.uncached.flops)}, {times(cost.uncached.flops / cost.cached.flops)} as much.",
        f"The cache pays for it with {size(cost.cached.kv_bytes)} that are read for every token.",
        "What was computed stays true because causal attention never looks ahead.",
    )
    page.say(
        "A denoise step changes every latent, so nothing computed for the canvas survives it:",
        f"{cost.num_steps} steps are {cost.num_steps} times the whole. Only the caption's encoding",
        f"({CAPTION_TOKENS} tokens, with and without the words) is kept, which saves",
        f"{flops(saved)} of {flops(cost.image_flops + saved)},",
        f"{percent(saved / (cost.image_flops + saved))}. The classifier has nothing to reuse",
        "either, and no need: its one pass is over.",
    )


def quality_by_steps(facts: Facts, page: Page) -> None:
    page.heading("Quality against number of steps")
    known = {one.method: rows for one in facts.image.main.values() if (rows := steps_of(one))}
    if not known:
        page.gap("quality against the number of denoise steps: no image run tried others")
        return
    tried = sorted({num for rows in known.values() for num in rows})
    page.table(
        ["denoise steps", "FLOPs of an image", *known],
        [
            [
                str(num),
                flops(facts.cost.image_flops_in(num)),
                *[_cell(rows, num) for rows in known.values()],
            ]
            for num in tried
        ],
    )
    page.say("Cells: style score, FID-like distance.", *[_enough(m, r) for m, r in known.items()])
    page.say(
        "An image generator trades quality for time with one number, per request. A classifier has",
        "no such dial, and a language model's, the number of tokens, is part of the answer.",
    )


def steps_of(outcome: Outcome) -> dict[int, tuple[float, float]]:
    """Denoise steps to (style score, FID-like distance), means over seeds."""
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for run in outcome.runs:
        rows = run.summary.get("quality_by_num_steps")
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, list) and len(row) == 3:
                steps, style, fid = (float(str(value)) for value in row)
                found[int(steps)].append((style, fid))
    return {
        num: (sum(s for s, _ in pairs) / len(pairs), sum(f for _, f in pairs) / len(pairs))
        for num, pairs in sorted(found.items())
    }


def _cell(rows: dict[int, tuple[float, float]], num: int) -> str:
    if num not in rows:
        return "–"
    style, fid = rows[num]
    return f"{percent(style)}, {number(fid)}"


def _enough(method: str, rows: dict[int, tuple[float, float]]) -> str:
    top = max(style for style, _ in rows.values())
    fewest = min(num for num, (style, _) in rows.items() if style >= top - _NEAR)
    return f"`{method}` is within two points of its best style score from {fewest} steps on."
