"""`plan.html`: one file that needs no network, no server and, for reading, no script."""

import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from loadsheet.planner.plan import Plan
from loadsheet.planner.sheet.charts import memory_bar, pareto, roofline, why
from loadsheet.planner.sheet.gantt import Gantt
from loadsheet.planner.sheet.page_tables import (
    candidate_table,
    class_table,
    gantt_table,
    group_table,
    loss_list,
    memory_table,
    pareto_table,
    plain_list,
    roof_table,
    schedule_table,
    sharing_table,
)
from loadsheet.planner.sheet.pool import Pool
from loadsheet.planner.sheet.roof_points import Roof, RoofPoint
from loadsheet.planner.sheet.signature import Signature
from loadsheet.planner.sheet.verdict import Tile, devices_text, verdict
from loadsheet.units import format_bytes

_PARTS = files("loadsheet.planner.sheet").joinpath("page")
_SCRIPTS = ("closed_forms.js", "what_if.js", "gantt.js", "sheet.js")
_SHOWN_BARS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Everything that the page shows."""

    plan: Plan
    signature: Signature
    pools: tuple[Pool, ...] = ()
    roofs: tuple[Roof, ...] = ()
    points: tuple[RoofPoint, ...] = ()
    gantts: tuple[Gantt, ...] = ()


def page(sheet: Sheet) -> str:
    plan = sheet.plan
    values = {
        "title": escape(f"{plan.inputs.workload} on {devices_text(plan)}"),
        "workload": escape(plan.inputs.workload),
        "subtitle": escape(_subtitle(sheet)),
        "style": _part("sheet.css"),
        "tiles": "".join(_tile(tile) for tile in verdict(plan, sheet.pools)),
        "sentences": plain_list(plan.sentences),
        "memory": _memory(plan),
        "memory_table": memory_table(plan),
        "classes": class_table(plan),
        "groups": group_table(plan),
        "gantt_table": gantt_table(sheet.gantts),
        "roofline": roofline(sheet.roofs, sheet.points),
        "roof_table": roof_table(sheet.roofs, sheet.points),
        "pareto": pareto(plan.pareto),
        "pareto_table": pareto_table(plan.pareto),
        "sharing": sharing_table(plan.sharing),
        "losses": loss_list(plan.losses),
        "schedules": schedule_table(plan.schedules),
        "candidates": candidate_table(plan),
        "notes": plain_list(plan.notes),
        "signature": _signature(sheet),
        "script": "".join(_part(name) for name in _SCRIPTS),
        "data": _json(_data(sheet)),
    }
    text = _part("sheet.html")
    for name, value in values.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")


def _subtitle(sheet: Sheet) -> str:
    inputs = sheet.plan.inputs
    asked = {"cost": "fewest dollars", "devices": "fewest devices", "goodput": "most goodput"}
    facts = [
        f"cluster {inputs.cluster}",
        f"planned for {asked[inputs.objective]} at p{100 * inputs.demand_percentile:g} demand",
        *(f"what if {change}" for change in inputs.changes),
        f"signed by {sheet.signature.who}, {sheet.signature.when}",
    ]
    return " · ".join(facts)


def _tile(tile: Tile) -> str:
    value = why(tile.value, tile.why) if tile.why else escape(tile.value)
    return (
        f'<div class="tile {tile.tone}"><span>{escape(tile.label)}</span><b>{value}</b>'
        f"<small>{escape(tile.detail)}</small></div>"
    )


def _memory(plan: Plan) -> str:
    rows = []
    for group in plan.groups[:_SHOWN_BARS]:
        replicas = group.replicas
        used = f"{format_bytes(group.used_bytes)} of {format_bytes(group.memory_bytes)}"
        free = format_bytes(group.memory_bytes - group.used_bytes)
        rows.append(
            f'<div class="device"><p><b>{escape(replicas.device)}</b> '
            f'<span class="muted">{group.num_devices:,} of them, '
            f"{escape(' + '.join(one.name for one in replicas.models))}</span>"
            f'<span class="right">{used}, {free} free</span></p>{memory_bar(group)}</div>'
        )
    more = len(plan.groups) - _SHOWN_BARS
    if more > 0:
        rows.append(f'<p class="muted">and {more} groups more, in the table</p>')
    return "".join(rows)


def _signature(sheet: Sheet) -> str:
    signed = sheet.signature
    rows = {
        "inputs (SHA-256)": sheet.plan.inputs.digest,
        "plan.json (SHA-256)": signed.plan_digest,
        "signed by": signed.who,
        "when": signed.when,
        "made with": sheet.plan.inputs.made_with,
        "seeds": ", ".join(map(str, sheet.plan.inputs.seeds)) or "none, closed forms only",
    }
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items()
    )
    return f'<div class="scroll"><table class="facts">{cells}</table></div>'


def _data(sheet: Sheet) -> dict[str, object]:
    return {
        "pools": [pool.as_dict() for pool in sheet.pools],
        "classes": [
            {"name": one.name, "kind": str(one.kind), "planned_rps": one.planned_rps}
            for one in sheet.plan.classes
        ],
        "gantts": [_gantt(gantt) for gantt in sheet.gantts],
    }


def _gantt(gantt: Gantt) -> dict[str, object]:
    """Times in milliseconds from the start of the window, in tenths: a page should be small."""
    models = sorted({span.model for span in gantt.spans})

    def at(time_s: float) -> float:
        return round((time_s - gantt.start_s) * 1e3, 2)

    return {
        "name": gantt.group,
        "device": gantt.device,
        "seconds": gantt.seconds,
        "is_cut": gantt.is_cut,
        "models": models,
        "spans": [
            [
                at(span.start_s),
                at(span.end_s),
                str(span.kind),
                models.index(span.model),
                span.lane,
                span.num_steps,
                span.batch,
                span.prefill_tokens,
            ]
            for span in gantt.spans
        ],
    }


def _json(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
