"""A comparison as a table and as JSON."""

from dataclasses import asdict

from loadsheet.bench.compare import Change, Comparison
from loadsheet.bench.tables import Table, number, with_interval
from loadsheet.metrics import DEFINITIONS


def comparison_table(comparison: Comparison) -> Table:
    return Table(
        header=(
            *("phase", "class", "metric", comparison.a, comparison.b, "B / A", "n", "verdict"),
        ),
        rows=tuple(_row(change) for change in comparison.changes),
    )


def comparison_document(comparison: Comparison) -> dict[str, object]:
    return {
        "schema_version": 1,
        "a": comparison.a,
        "b": comparison.b,
        "warnings": list(comparison.warnings),
        "changes": [
            {
                **asdict(change),
                "unit": DEFINITIONS[change.metric].unit,
                "verdict": change.verdict.value,
            }
            for change in comparison.changes
        ],
    }


def _row(change: Change) -> tuple[str, ...]:
    is_time = change.metric.endswith("_s") and DEFINITIONS[change.metric].unit == "s"
    scale, unit = (1e3, "ms") if is_time else (1.0, DEFINITIONS[change.metric].unit)
    name = change.metric.removesuffix("_s") if is_time else change.metric
    return (
        change.phase,
        change.traffic,
        f"{name} {change.statistic} ({unit})",
        number(change.a * scale),
        number(change.b * scale),
        "–" if change.ratio is None else with_interval(change.ratio),
        f"{change.num}{'' if change.is_paired else ' unpaired'}",
        change.verdict.value,
    )
