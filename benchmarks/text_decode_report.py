"""The numbers of `text_decode.py` as JSON-ready rows and a Markdown table."""

from collections.abc import Sequence
from statistics import median

SIDES = ("ceiling", "engine", "transformers")
RATIOS = (
    ("engine", "ceiling"),
    ("transformers", "ceiling"),
    ("engine", "transformers"),
)


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "min": min(values), "max": max(values)}


def row(
    dtype: str, batch: int, rounds: list[dict[str, float]], same_tokens: float
) -> dict[str, object]:
    rates = {side: spread([one[side] for one in rounds]) for side in SIDES}
    ratios = {
        f"{above}/{below}": spread([one[above] / one[below] for one in rounds])
        for above, below in RATIOS
    }
    return {
        "dtype": dtype,
        "batch": batch,
        "tokens_per_s": rates,
        "ratios": ratios,
        "same_greedy_tokens": same_tokens,
        "rounds": rounds,
    }


def agreement(ours: list[list[int]], theirs: list[list[int]]) -> float:
    """Share of tokens before the first difference; below 1 in bf16 where two logits tie."""
    num_same = 0
    for mine, other in zip(ours, theirs, strict=True):
        pairs = zip(mine, other, strict=True)
        num_same += next((i for i, (a, b) in enumerate(pairs) if a != b), len(mine))
    return num_same / sum(map(len, ours))


def markdown(report: dict[str, object], rows: list[dict[str, object]]) -> str:
    lines = [
        "| dtype | batch | ceiling tok/s | engine tok/s | transformers tok/s "
        "| engine / ceiling | transformers / ceiling | engine / transformers | same tokens |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        cells = [str(one["dtype"]), str(one["batch"])]
        cells += [_cell(values, ".1f") for values in one["tokens_per_s"].values()]
        cells += [_cell(values, ".2f") for values in one["ratios"].values()]
        cells.append(f"{one['same_greedy_tokens']:.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    facts = report["environment"]
    lines += [
        "",
        f"Median (min to max) of {report['num_rounds']} interleaved rounds; "
        f"{report['prompt_tokens']} prompt tokens, {report['new_tokens']} new ones, decode only.",
        f"{report['model']}; {facts['cpu']}, {report['threads']} threads, "
        f"torch {report['torch']}, transformers {report['transformers']}, "
        f"commit {facts['commit']}, {facts['started_at']}; load average "
        f"{facts['load_average']} before, {report['load_average_after']} after.",
        "",
        f"    {facts['command']}",
    ]
    return "\n".join(lines) + "\n"


def _cell(values: dict[str, float], layout: str) -> str:
    return f"{values['median']:{layout}} ({values['min']:{layout}} to {values['max']:{layout}})"
