"""The tables of the load sheet: every picture has one that says the same."""

from collections.abc import Sequence
from html import escape

from loadsheet.planner.plan import (
    ClassForecast,
    Figure,
    LatencyForecast,
    Loss,
    ParetoPoint,
    Plan,
    PlannedGroup,
    Schedule,
    Sharing,
    Standing,
)
from loadsheet.planner.sheet.charts import letter, promise_band, roof_formula, why
from loadsheet.planner.sheet.gantt import Gantt
from loadsheet.planner.sheet.roof_points import Roof, RoofPoint
from loadsheet.units import format_bytes, format_seconds

_MOST_CANDIDATES = 150
_METRICS = {
    "ttft_s": "first token",
    "tpot_s": "per token",
    "time_to_image_s": "finished image",
    "e2e_s": "answer",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> str:
    """Cells are HTML already."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table class="{name}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def plain_list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in sentences) + "</ul>"


def class_table(plan: Plan) -> str:
    rows = [row for one in plan.classes for row in _class_rows(one)]
    head = ["class", "traffic", "promise", "", "p50", "p95", "p99", "in time"]
    return table(head, rows, "classes")


def _class_rows(one: ClassForecast) -> list[list[str]]:
    rate = f"{one.planned_rps:.3g} /s planned<br><small>{one.mean_rps:.3g} /s on average</small>"
    kept = f"{one.attainment.value:.1%}"
    tone = "good" if one.is_met else "bad"
    formula = f"{_source(one.attainment)}; {one.percentile:.0%} are promised"
    last = why(f"{'✓' if one.is_met else '✗'} {kept}", formula, tone)
    name = f"<b>{escape(one.name)}</b><br><small>{escape(one.model)}</small>"
    rows: list[list[str]] = []
    for item in one.latencies:
        first = not rows
        rows.append(
            [
                name if first else "",
                rate if first else "",
                _promise(item, one.percentile),
                promise_band(item),
                *(seconds_cell(figure) for figure in (item.p50, item.p95, item.p99)),
                last if first else "",
            ]
        )
    return rows


def _promise(item: LatencyForecast, percentile: float) -> str:
    name = _METRICS.get(item.metric, item.metric)
    return f"{name}<br><small>p{100 * percentile:g} ≤ {format_seconds(item.limit_s)}</small>"


def seconds_cell(figure: Figure) -> str:
    band = ""
    if figure.low is not None and figure.high is not None:
        band = f"<br><small>{format_seconds(figure.low)} – {format_seconds(figure.high)}</small>"
    return why(format_seconds(figure.value), _source(figure)) + band


def _source(figure: Figure) -> str:
    return f"{figure.source}: {figure.how}"


def group_table(plan: Plan) -> str:
    head = ["replicas", "on", "models", "limits", "busy", "$/h", "power", "why"]
    return table(head, [_group_row(group) for group in plan.groups], "groups")


def _group_row(group: PlannedGroup) -> list[str]:
    replicas = group.replicas
    size = f" x {replicas.num_devices} devices" if replicas.num_devices > 1 else ""
    limits = [
        f"{one.model}: {one.max_num_seqs} sequences, {one.num_blocks * one.block_tokens:,} tokens"
        for one in replicas.text
    ]
    limits += [
        f"{one.model}: batches of {one.max_batch}, {format_bytes(one.budget_bytes)} latents"
        for one in replicas.images
    ]
    limits += [f"{one.model}: batches of {one.max_batch}" for one in replicas.encoders]
    load = " + ".join(
        f"{one.rate_rps:.3g}/s x {one.seconds_per_request * 1e3:.3g} ms ({one.name})"
        for one in group.loads
    )
    busy = (
        f"decode tax {group.decode_tax:.3f} + ({load}) / {replicas.num_replicas} replicas = "
        f"{group.utilisation:.3f}, at most {group.max_utilisation:.3f} (computed)"
    )
    return [
        f"{replicas.num_replicas:,}{size}",
        escape(replicas.device),
        "<br>".join(escape(f"{one.name} ({one.dtype})") for one in replicas.models),
        "<br>".join(escape(one) for one in limits),
        why(f"{group.utilisation:.0%} of {group.max_utilisation:.0%}", busy),
        "–" if group.usd_per_hour is None else f"{group.usd_per_hour:,.2f}",
        f"{group.power_w / 1e3:,.1f} kW",
        f'<span class="wrap">{escape(group.why)}</span>',
    ]


def memory_table(plan: Plan) -> str:
    rows = [
        [
            escape(group.replicas.name),
            escape(line.owner),
            escape(f"{line.model} {line.part}".strip()),
            format_bytes(line.num_bytes),
            f"{line.num_bytes:,}",
        ]
        for group in plan.groups
        for line in group.ledger
    ]
    return table(["device of", "owner", "what", "size", "bytes"], rows)


def roof_table(roofs: Sequence[Roof], points: Sequence[RoofPoint]) -> str:
    rows = [
        [
            f"<b>{letter(index)}</b>",
            escape(point.model),
            escape(point.phase),
            escape(point.device),
            f"{point.batch}",
            why(f"{point.intensity:.3g}", roof_formula(point)),
            f"{point.flops_per_s / 1e12:.3g}",
            format_seconds(point.seconds),
            "memory" if point.is_memory_bound else "arithmetic",
        ]
        for index, point in enumerate(points)
    ]
    head = ["", "model", "phase", "on", "batch", "FLOP/byte", "TFLOP/s", "one run", "bound by"]
    tops = "; ".join(
        f"{roof.device}: {roof.flops_per_s / 1e12:,.0f} TFLOP/s {roof.dtype}, "
        f"{roof.bytes_per_s / 1e9:,.0f} GB/s"
        for roof in roofs
    )
    return f'<p class="muted">{escape(tops)} (datasheet)</p>' + table(head, rows)


def gantt_table(gantts: Sequence[Gantt]) -> str:
    rows = []
    for gantt in gantts:
        kinds: dict[tuple[str, str], list[float]] = {}
        for span in gantt.spans:
            kinds.setdefault((span.model, span.kind), []).append(span.end_s - span.start_s)
        for (model, kind), lengths in sorted(kinds.items()):
            share = sum(lengths) / gantt.seconds
            num = sum(s.num_steps for s in gantt.spans if (s.model, s.kind) == (model, kind))
            rows.append(
                [escape(gantt.group), escape(model), escape(kind), f"{num:,}", f"{share:.0%}"]
            )
    return table(["replica of", "model", "steps", "how many", "of the time"], rows)


def pareto_table(points: Sequence[ParetoPoint]) -> str:
    rows = [
        [
            escape(point.label) + (" <b>(chosen)</b>" if point.is_chosen else ""),
            f"{point.rate_factor:g}",
            "may share" if point.is_shared else "alone",
            f"{point.num_devices:,}",
            "–" if point.usd_per_hour is None else f"{point.usd_per_hour:,.2f}",
            f"{point.power_w / 1e3:,.1f}",
        ]
        for point in points
    ]
    return table(["plan", "x traffic", "models", "devices", "$/h", "kW"], rows)


def sharing_table(sharing: Sharing) -> str:
    rows = []
    for name, one, is_chosen in (
        ("each model alone (silo)", sharing.silo, not sharing.is_shared),
        ("models may share", sharing.shared, sharing.is_shared),
    ):
        rows.append(
            [
                name + (" <b>(chosen)</b>" if is_chosen else ""),
                "–" if one.num_devices is None else f"{one.num_devices:,}",
                "–" if one.usd_per_hour is None else f"{one.usd_per_hour:,.2f}",
                "yes" if one.is_checked else "no",
                f'<span class="wrap">{escape(one.reason)}</span>',
            ]
        )
    head = ["plan", "devices", "$/h", "promises simulated and kept", "why"]
    return table(head, rows) + plain_list(sharing.sentences)


def loss_list(losses: Sequence[Loss]) -> str:
    rows = [
        [
            escape(one.group),
            f"{one.served_share:.0%}",
            escape(", ".join(one.broken)) or "nothing",
            f'<span class="wrap">{escape(one.sentence)}</span>',
        ]
        for one in losses
    ]
    return table(["if one replica fails of", "still served", "what breaks", ""], rows)


def schedule_table(schedules: Sequence[Schedule]) -> str:
    parts = []
    for one in schedules:
        hours = "".join(f"<th>{hour.hour}</th>" for hour in one.hours)
        lines = {
            "x planned": [f"{hour.rate_factor:.2f}" for hour in one.hours],
            f"planned ahead, ${one.optimal_usd:,.0f} a day": [f"{h.optimal}" for h in one.hours],
            f"reactive, ${one.reactive_usd:,.0f}, {one.reactive_missed_hours} hours short": [
                f"{hour.reactive}" for hour in one.hours
            ],
            f"always on, ${one.static_usd:,.0f}": [f"{hour.static}" for hour in one.hours],
        }
        body = "".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
            for name, cells in lines.items()
        )
        parts.append(
            f"<h3>{escape(one.group)}</h3>"
            f'<p class="muted">devices by hour; a replica is ready after '
            f"{format_seconds(one.lead_s)}</p>"
            f'<div class="scroll" tabindex="0"><table class="hours"><thead><tr><th>hour</th>{hours}'
            f"</tr></thead><tbody>{body}</tbody></table></div>"
        )
    return "".join(parts)


def candidate_table(plan: Plan) -> str:
    order = [Standing.CHOSEN, Standing.FEASIBLE, Standing.REJECTED]
    known = sorted(plan.candidates, key=lambda one: order.index(one.standing))
    rows = []
    for one in known[:_MOST_CANDIDATES]:
        most = ", ".join(f"{name} {rate:.3g}/s" for name, rate in one.max_rps.items())
        memory = f"{format_bytes(one.used_bytes)} of {format_bytes(one.memory_bytes)}"
        rows.append(
            [
                f'<b class="{one.standing}">{one.standing}</b>',
                escape(f"{one.tp} x {one.device}"),
                escape(" + ".join(one.models)),
                escape(one.dtype),
                f'<span class="wrap">{escape(one.reason)}</span>',
                f'<span class="wrap">{escape(most) or "–"}</span>',
                memory,
                "–" if one.usd_per_hour is None else f"{one.usd_per_hour:,.2f}",
            ]
        )
    more = len(known) - len(rows)
    note = f'<p class="muted">and {more:,} more in plan.json</p>' if more > 0 else ""
    head = ["", "on", "models", "dtype", "why", "one replica serves", "before requests", "$/h"]
    return table(head, rows, "candidates") + note
