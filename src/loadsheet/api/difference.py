"""What a changed field changes: milliseconds, bytes and dollars, before and after."""

from collections.abc import Callable, Sequence

from loadsheet.api.explanation_text import dollars, energy
from loadsheet.cost.explain import Explanation
from loadsheet.table import amount, table
from loadsheet.units import format_bytes, format_seconds

Show = Callable[[float], str]


def difference(base: Explanation, shown: Explanation, changes: Sequence[str]) -> str:
    rows = [_row("parameters", base.params, shown.params, amount)]
    rows.append(_row("FLOPs of the request", base.flops, shown.flops, amount))
    rows += _phases(base, shown)
    rows.append(_row("request time", base.seconds, shown.seconds, format_seconds))
    rows.append(_row("bytes moved", base.num_bytes, shown.num_bytes, _moved))
    for name, key in (("KV per token", "kv_bytes_per_token"),):
        if key in base.facts:
            rows.append(_row(name, base.facts[key], shown.facts[key], format_bytes))
    rows.append(_row("memory", base.ledger.total_bytes(), shown.ledger.total_bytes(), format_bytes))
    rows += _counts(base, shown)
    rows += _bills(base, shown)
    return table([f"with {', '.join(changes)}", "before", "after", "change"], rows)


def _phases(base: Explanation, shown: Explanation) -> list[list[str]]:
    return [
        _row(f"{one.name} time", one.seconds, other.seconds, format_seconds)
        for one, other in zip(base.phases, shown.phases, strict=False)
        if one.name == other.name
    ]


def _counts(base: Explanation, shown: Explanation) -> list[list[str]]:
    names = {
        "largest_batch": "largest batch",
        "largest_context": "largest context",
        "concurrent_images": "images at once",
    }
    return [
        _row(name, base.facts[key], shown.facts[key], _count)
        for key, name in names.items()
        if key in base.facts
    ]


def _bills(base: Explanation, shown: Explanation) -> list[list[str]]:
    rows = []
    after = {one.per: one for one in shown.bills}
    for one in base.bills:
        if one.per not in after or not (one.per.startswith("1M") or one.per in ("image",)):
            continue
        other = after[one.per]
        rows.append(_row(f"energy, {one.per}", one.energy_j, other.energy_j, energy))
        if one.low_usd is not None and other.low_usd is not None:
            rows.append(_row(f"dollars, {one.per}", one.low_usd, other.low_usd, dollars))
    return rows


def _row(name: str, before: float, after: float, show: Show) -> list[str]:
    change = f"{100 * (after / before - 1):+.1f} %" if before else ""
    return [name, show(before), show(after), change]


def _moved(value: float) -> str:
    return amount(value, "B")


def _count(value: float) -> str:
    return f"{value:,.0f}"
