"""`plan.md`: the load sheet on one page of text."""

from collections.abc import Sequence

from loadsheet.planner.plan import Figure, Plan, Standing
from loadsheet.planner.sheet.pool import Pool
from loadsheet.planner.sheet.signature import Signature
from loadsheet.planner.sheet.verdict import verdict
from loadsheet.units import format_bytes, format_seconds

_MOST_REJECTED = 12


def markdown(plan: Plan, pools: Sequence[Pool], signature: Signature) -> str:
    parts = [
        f"# Load sheet: {plan.inputs.workload}",
        "\n".join(
            f"- **{tile.label}**: {tile.value}; {tile.detail}" for tile in verdict(plan, pools)
        ),
        "\n".join(f"- {one}" for one in plan.sentences),
        "## Promises (predicted)\n\n" + _promises(plan),
        "## What runs where\n\n" + _groups(plan),
        "## Memory of one device\n\n" + _memory(plan),
        "## Alone or together\n\n" + _sharing(plan),
        "## Candidates rejected\n\n" + _rejected(plan),
        "## Notes\n\n" + "\n".join(f"- {one}" for one in plan.notes),
        f"Signed by {signature.who}, {signature.when}, with {plan.inputs.made_with}. "
        f"Inputs SHA-256 `{plan.inputs.digest}`, plan.json SHA-256 `{signature.plan_digest}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _promises(plan: Plan) -> str:
    rows = []
    for one in plan.classes:
        for item in one.latencies:
            rows.append(
                [
                    one.name,
                    f"{one.planned_rps:.3g}/s",
                    f"{item.metric} p{100 * one.percentile:g} <= {format_seconds(item.limit_s)}",
                    *(_figure(figure) for figure in (item.p50, item.p95, item.p99)),
                    f"{one.attainment.value:.1%}{'' if one.is_met else ' (missed)'}",
                ]
            )
    head = ["class", "planned", "promise", "p50", "p95", "p99", "in time"]
    sources = sorted({item.p95.source for one in plan.classes for item in one.latencies})
    return f"{_table(head, rows)}\n\nAll {', '.join(sources)}; 95 % bands in brackets."


def _figure(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return format_seconds(figure.value)
    band = f"[{format_seconds(figure.low)}, {format_seconds(figure.high)}]"
    return f"{format_seconds(figure.value)} {band}"


def _groups(plan: Plan) -> str:
    rows = [
        [
            f"{group.replicas.num_replicas}",
            f"{group.replicas.num_devices} x {group.replicas.device}",
            " + ".join(f"{one.name} ({one.dtype})" for one in group.replicas.models),
            f"{group.utilisation:.0%} of {group.max_utilisation:.0%}",
            "-" if group.usd_per_hour is None else f"{group.usd_per_hour:,.2f}",
        ]
        for group in plan.groups
    ]
    return _table(["replicas", "each on", "models", "busy", "$/h"], rows)


def _memory(plan: Plan) -> str:
    rows = []
    for group in plan.groups:
        rows += [
            [group.replicas.name, line.owner, line.model, format_bytes(line.num_bytes)]
            for line in group.ledger
        ]
        used = f"{format_bytes(group.used_bytes)} of {format_bytes(group.memory_bytes)}"
        rows.append([group.replicas.name, "**in all**", "", used])
    return _table(["device of", "owner", "model", "bytes"], rows)


def _sharing(plan: Plan) -> str:
    rows = []
    for name, one in (("each model alone", plan.sharing.silo), ("may share", plan.sharing.shared)):
        devices = "-" if one.num_devices is None else f"{one.num_devices:,}"
        cost = "-" if one.usd_per_hour is None else f"{one.usd_per_hour:,.2f}"
        rows.append([name, devices, cost, "yes" if one.is_checked else "no", one.reason])
    lines = "\n".join(f"- {one}" for one in plan.sharing.sentences)
    head = ["models", "devices", "$/h", "kept in simulation", "why"]
    return f"{_table(head, rows)}\n\n{lines}"


def _rejected(plan: Plan) -> str:
    rejected = [one for one in plan.candidates if one.standing is Standing.REJECTED]
    rows = [
        [f"{one.tp} x {one.device}", " + ".join(one.models), one.dtype, one.reason]
        for one in rejected[:_MOST_REJECTED]
    ]
    more = len(rejected) - len(rows)
    tail = f"\n\nand {more} more in plan.json." if more > 0 else ""
    return _table(["on", "models", "dtype", "why not"], rows) + tail if rows else "None."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
