"""Plain text tables, aligned: nothing to import, nothing to wait for."""

from collections.abc import Sequence
from textwrap import wrap

_LINE = 110  # characters
_BIG = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column left, the others right; wide enough for the longest cell."""
    lines = [list(headers), *[list(row) for row in rows]]
    widths = [max(len(line[index]) for line in lines) for index in range(len(headers))]
    rule = "  ".join("─" * width for width in widths)
    drawn = [_row(line, widths) for line in lines]
    return "\n".join([drawn[0], rule, *drawn[1:]])


def bullets(sentences: Sequence[str]) -> str:
    """A list, broken into lines that fit beside a table."""
    filled = (
        wrap(line, _LINE, initial_indent="- ", subsequent_indent="  ", break_long_words=False)
        for line in sentences
    )
    return "\n".join("\n".join(lines) for lines in filled)


def amount(value: float, unit: str = "") -> str:
    """`amount(1.5e12, "FLOP")` → `'1.50 TFLOP'`."""
    for scale, prefix in _BIG:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([first, *rest]).rstrip()
