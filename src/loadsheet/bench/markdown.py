"""The summary as Markdown tables that paste into an issue, a README or a spreadsheet."""

from loadsheet.bench.summary import PhaseSummary, RunSummary
from loadsheet.bench.tables import (
    INTERVALS,
    Table,
    interference_table,
    phase_remarks,
    phase_tables,
    share_sum_text,
)


def markdown_report(title: str, summary: RunSummary) -> str:
    """Three tables per phase (latency, rates, objectives), then the mix beside alone."""
    parts = [f"# {title}", *(_phase(phase) for phase in summary.phases)]
    if summary.interference or summary.share_sum:
        parts.append(_comparison(summary))
    return "\n\n".join([*parts, INTERVALS]) + "\n"


def markdown_table(table: Table) -> str:
    """Columns padded, so that it also reads well in a terminal."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in [lines[0], rule, *lines[1:]]
    )


def _phase(phase: PhaseSummary) -> str:
    title = f"## {phase.name}: {phase.window.length_s:.1f} s window"
    tables = [markdown_table(table) for table in phase_tables(phase)]
    remarks = "\n".join(f"- {remark}" for remark in phase_remarks(phase))
    return "\n\n".join([title, *tables, remarks])


def _comparison(summary: RunSummary) -> str:
    blocks = ["## the mix beside each class alone"]
    if summary.interference:
        blocks.append(markdown_table(interference_table(summary)))
    if summary.share_sum is not None:
        blocks.append(share_sum_text(summary))
    return "\n\n".join(blocks)
