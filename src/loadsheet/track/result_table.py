"""Results as a Markdown table: ours first, published ones below, task by task."""

from collections.abc import Sequence

from loadsheet.track.result import Result

_HEAD = "| data | model | metric | value | seeds | source |\n|---|---|---|---|---|---|"


def markdown_results(results: Sequence[Result]) -> str:
    """One table per task; a published number carries its paper and what keeps it from ours."""
    parts = []
    for task in sorted({result.task for result in results}):
        own = [result for result in results if result.task == task]
        rows = sorted(own, key=lambda r: (not r.is_ours, r.dataset, r.metric, r.model))
        parts.append("\n".join([f"### {task}\n", _HEAD, *map(_row, rows)]))
    return "\n\n".join(parts) + "\n"


def _row(result: Result) -> str:
    cells = (
        result.dataset,
        result.model,
        result.metric,
        _value(result),
        str(result.num_seeds) if result.is_ours else "",
        _source(result),
    )
    return f"| {' | '.join(cells)} |"


def _value(result: Result) -> str:
    value = result.value
    if value.low is None or value.high is None:
        return f"{value.value:.4g}"
    return f"{value.value:.4g} ({value.low:.4g} to {value.high:.4g})"


def _source(result: Result) -> str:
    if result.is_ours:
        first, *others = result.source.split(", ")
        return f"measured: {first}" + (f" and {len(others)} more" if others else "")
    is_arxiv = result.source.replace(".", "").isdigit()
    paper = f"arXiv:{result.source}" if is_arxiv else result.source
    return f"published: {paper}; {result.note}" if result.note else f"published: {paper}"
