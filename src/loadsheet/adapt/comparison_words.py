"""How numbers of the comparison read in a sentence or a cell."""

from collections.abc import Sequence

from loadsheet.adapt.comparison_runs import Spread
from loadsheet.table import amount
from loadsheet.units import format_bytes

NOTHING = "–"
_KEPT = "\u00a0"  # a space that no line break replaces


def percent(value: float) -> str:
    """`percent(0.853)` → "85.3 %"; below one per cent with two digits that count."""
    digits = f"{100 * value:.1f}" if abs(value) >= 0.01 or value == 0 else f"{100 * value:.2g}"
    return f"{digits}{_KEPT}%"


def share(spread: Spread | None) -> str:
    """A cell: "85.3 % (84.9 to 85.9)" for several seeds."""
    if spread is None:
        return NOTHING
    if spread.num == 1:
        return percent(spread.mean)
    return f"{percent(spread.mean)} ({100 * spread.low:.1f} to {100 * spread.high:.1f})"


def number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def count(value: float | None) -> str:
    return NOTHING if value is None else amount(value)


def size(value: float | None) -> str:
    return NOTHING if value is None else format_bytes(value)


def seconds(value: float | None) -> str:
    """Milliseconds below one second."""
    if value is None:
        return NOTHING
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def flops(value: float) -> str:
    return amount(value, "FLOP")


def times(ratio: float) -> str:
    """ "63 ×", "1.4 ×"."""
    return f"{ratio:.3g}{_KEPT}×"


def points(difference: float) -> str:
    """Percentage points, without a sign."""
    return f"{100 * abs(difference):.1f} points"


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column left, the others right."""
    rule = [":--", *["--:"] * (len(headers) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, rule, *rows))
