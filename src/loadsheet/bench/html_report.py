"""One HTML file with everything in it: verdict, curves, timeline, tables. No network needed."""

import json
from html import escape
from importlib.resources import files

from loadsheet.bench.report_data import report_data
from loadsheet.bench.run import RunResult
from loadsheet.bench.summary import ClassSummary, PhaseSummary
from loadsheet.bench.tables import (
    INTERVALS,
    Table,
    definition_table,
    interference_table,
    number,
    phase_remarks,
    phase_tables,
    promise_text,
    with_interval,
)
from loadsheet.distribution import Distribution
from loadsheet.workload.request import RequestKind

_PARTS = files("loadsheet.bench").joinpath("report")
_ENOUGH_FOR_P99 = 100
_SCRIPTS = ("curves.js", "timeline.js", "report.js")


def html_report(result: RunResult) -> str:
    values = {
        "title": escape(result.workload.name),
        "subtitle": escape(_subtitle(result)),
        "style": _part("report.css"),
        "tiles": "".join(_tiles(result)),
        "tables": "".join(_tables(result)),
        "definitions": _table(definition_table()),
        "environment": _environment(result),
        "intervals": escape(INTERVALS.replace("`", "")),
        "script": "".join(_part(name) for name in _SCRIPTS),
        "data": json.dumps(report_data(result), separators=(",", ":")).replace("<", "\\u003c"),
    }
    page = _part("report.html")
    for name, value in values.items():
        page = page.replace(f"{{{{ {name} }}}}", value)
    return page


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")


def _subtitle(result: RunResult) -> str:
    texts = [
        *("interrupted",) * result.is_interrupted,
        " and ".join(result.server),
        str(result.environment["started_at"]),
        f"seed {result.workload.seed}",
    ]
    return " · ".join(texts)


def _tiles(result: RunResult) -> list[str]:
    """The verdict in a row of numbers, of the last phase: the mix, or all there was."""
    if not result.summary.phases:
        return [_tile("no window", "–", "stopped while warming up", "bad")]
    phase = result.summary.phases[-1]
    tiles = [tile for item in phase.classes for tile in _class_tiles(item)]
    tiles.append(
        _tile(
            "joint goodput",
            f"{number(phase.joint_goodput_rps)} /s",
            "every class keeps its objective" if phase.is_joint_met else "an objective is missed",
            "good" if phase.is_joint_met else "bad",
        )
    )
    if result.summary.share_sum is not None:
        share = result.summary.share_sum
        tiles.append(
            _tile("share sum", number(share.value), f"{with_interval(share)}; 1 = time slicing", "")
        )
    tiles.append(_client_tile(phase))
    return tiles


def _class_tiles(item: ClassSummary) -> list[str]:
    is_text = item.kind is RequestKind.TEXT
    shown = ("ttft_s", "itl_s") if is_text else ("time_to_image_s",)
    rate = "output_tokens_per_s" if is_text else "images_per_s"
    tiles = []
    for name in shown:
        found = item.distribution(name)
        if found is not None:
            tiles.append(_latency_tile(item, found))
    unit = "tok/s" if is_text else "img/s"
    kept = item.attainment
    tiles.append(
        _tile(
            f"{item.traffic} throughput",
            f"{number(item.rates[rate].value)} {unit}",
            "prompts included" if is_text else "whole images",
            item.kind.value,
        )
    )
    tiles.append(
        _tile(
            f"{item.traffic} objective kept",
            f"{kept.share:.0%}",
            promise_text(kept.slo),
            "good" if kept.is_met else "bad",
        )
    )
    return tiles


def _latency_tile(item: ClassSummary, found: Distribution) -> str:
    """p99, or the worst value where a p99 would pretend to more."""
    is_enough = found.num >= _ENOUGH_FOR_P99
    value_s = found.quantiles["p99"].value if is_enough else found.maximum
    name = found.name.removesuffix("_s").replace("_", " ")
    return _tile(
        f"{item.traffic} {name} {'p99' if is_enough else 'worst'}",
        f"{number(value_s * 1e3)} ms",
        f"p50 {number(found.quantiles['p50'].value * 1e3)} ms, {found.num} values",
        item.kind.value,
    )


def _client_tile(phase: PhaseSummary) -> str:
    overhead = phase.overhead
    return _tile(
        "client itself",
        f"{overhead.cpu_share:.0%} of a core",
        f"sees the network {overhead.loop_delay_p99_s * 1e3:.1f} ms late at p99",
        "warn" if overhead.warnings() else "",
    )


def _tile(label: str, value: str, detail: str, tone: str) -> str:
    return (
        f'<div class="tile {tone}"><span>{escape(label)}</span><b>{escape(value)}</b>'
        f"<small>{escape(detail)}</small></div>"
    )


def _tables(result: RunResult) -> list[str]:
    summary = result.summary
    parts = []
    if summary.interference:
        parts.append(
            _section("The mix beside each class alone", _table(interference_table(summary)))
        )
    for phase in reversed(summary.phases):
        remarks = "".join(f"<li>{escape(remark)}</li>" for remark in phase_remarks(phase))
        body = "".join(_table(table) for table in phase_tables(phase))
        title = f"{phase.name}: {phase.window.length_s:.1f} s window"
        parts.append(_section(title, f"{body}<ul>{remarks}</ul>"))
    return parts


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{rows}</table></div>'


def _environment(result: RunResult) -> str:
    facts = {
        **result.environment,
        "server": ", ".join(f"{url} {version}" for url, version in result.server.items()),
        "models": ", ".join(
            f"{traffic}: {model}" for traffic, model in result.facts.models.items()
        ),
    }
    rows = tuple((name, str(value)) for name, value in facts.items() if value)
    return _table(Table(header=("what", "value"), rows=rows))
