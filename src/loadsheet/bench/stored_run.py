"""A run read back from its folder: records, windows and promises."""

from dataclasses import dataclass
from pathlib import Path

from loadsheet.bench.load import Window
from loadsheet.bench.promise import Promise
from loadsheet.bench.record import RequestRecord
from loadsheet.bench.run_folder import SUMMARY, read_records, read_summary
from loadsheet.errors import ConfigError
from loadsheet.settings import Table
from loadsheet.workload.slo import ImageSLO, TextSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """`label` is the folder's name; `facts` say when two runs are hard to compare."""

    label: str
    windows: dict[str, Window]
    promises: dict[str, Promise]
    records: tuple[RequestRecord, ...]
    facts: dict[str, str]

    def due(self, phase: str, traffic: str) -> tuple[RequestRecord, ...]:
        window = self.windows[phase]
        return tuple(record for record in self.of(phase, traffic) if window.holds(record.due_ns))

    def of(self, phase: str, traffic: str) -> tuple[RequestRecord, ...]:
        return tuple(
            record for record in self.records if record.phase == phase and record.traffic == traffic
        )


def read_run(folder: Path) -> StoredRun:
    """Raises ConfigError for what is no finished run of this format."""
    table = Table(read_summary(folder), f"{folder / SUMMARY}")
    if table.integer("schema_version", 0) != 1:
        raise ConfigError(f"{folder / SUMMARY} has another schema_version than 1")
    return StoredRun(
        label=folder.name,
        windows={
            phase.text("name") or "": _window(phase.child("window"))
            for phase in table.children("phases")
        },
        promises=_promises(table),
        records=tuple(read_records(folder)),
        facts=_facts(table),
    )


def _window(table: Table) -> Window:
    return Window(start_ns=table.integer("start_ns", 0), end_ns=table.integer("end_ns", 0))


def _promises(table: Table) -> dict[str, Promise]:
    found = table.child("promises")
    return {name: _promise(found.child(name)) for name in found.keys()}  # noqa: SIM118


def _promise(table: Table) -> Promise:
    slo = table.child("slo")
    percentile = slo.number("percentile", 0.95)
    deadline_s = slo.optional_number("deadline_s")
    return Promise(
        slo=TextSLO(
            ttft_s=slo.number("ttft_s", 0.0),
            tpot_s=slo.number("tpot_s", 0.0),
            percentile=percentile,
        )
        if deadline_s is None
        else ImageSLO(deadline_s=deadline_s, percentile=percentile),
        origin=table.text("origin") or "",
        reference_work=table.optional_integer("reference_work"),
    )


def _facts(table: Table) -> dict[str, str]:
    environment, workload = table.child("environment"), table.child("workload")
    return {
        "workload": workload.text("name") or "",
        "seed": str(table.integer("seed", 0)),
        "cpu": environment.text("cpu") or "",
        "client": environment.text("loadsheet") or "",
        "interrupted": str(table.flag("is_interrupted", False)),
    }
