"""Several runs side by side: the settings that differ, then every number they report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadsheet.track.json_value import JSON
from loadsheet.track.stored_run import StoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One fact of every run, None where a run does not have it."""

    section: str
    key: str
    values: tuple[JSON, ...]


def compare_runs(runs: Sequence[StoredRun]) -> tuple[ComparedRow, ...]:
    """Config and environment only where they differ; scalars of the summary; last metrics."""
    return (
        *_rows("config", [flat(run.config) for run in runs], only_differing=True),
        *_rows("environment", [flat(run.environment) for run in runs], only_differing=True),
        *_rows("summary", [_scalars(run.summary) for run in runs], only_differing=False),
        *_rows("last metric", [_last(run) for run in runs], only_differing=False),
    )


def flat(value: Mapping[str, JSON], prefix: str = "") -> dict[str, JSON]:
    """`{"a": {"b": 1}}` becomes `{"a.b": 1}`; lists stay whole."""
    found: dict[str, JSON] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            found |= flat(item, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = item
    return found


def _rows(
    section: str, tables: Sequence[Mapping[str, JSON]], *, only_differing: bool
) -> tuple[ComparedRow, ...]:
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [
        ComparedRow(section=section, key=key, values=tuple(table.get(key) for table in tables))
        for key in keys
    ]
    return tuple(row for row in rows if not only_differing or _differs(row.values))


def _differs(values: Sequence[JSON]) -> bool:
    return any(value != values[0] for value in values)


def _scalars(summary: Mapping[str, JSON]) -> dict[str, JSON]:
    """What fits into a cell: lists, like a confusion matrix, are for `runs show`."""
    return {key: value for key, value in flat(summary).items() if not isinstance(value, list)}


def _last(run: StoredRun) -> dict[str, JSON]:
    return {name: run.series(name)[-1].values[name] for name in run.metric_names()}
