"""A plan in the terminal: the answer first, then groups, promises and what else there was."""

from rich.console import Console
from rich.table import Table

from loadsheet.planner.plan import ClassForecast, Figure, Plan, Standing
from loadsheet.units import format_bytes, format_seconds

_SHOWN_CANDIDATES = 8


def print_plan(console: Console, plan: Plan) -> None:
    console.print(f"[bold]{plan.sentences[0]}[/]\n", highlight=False)
    console.print(_groups(plan))
    console.print(_classes(plan))
    for sentence in plan.sentences[1 + len(plan.classes) :]:
        console.print(sentence, highlight=False)
    console.print()
    console.print(_candidates(plan))
    for note in plan.notes:
        console.print(f"[dim]{note}[/]", highlight=False)


def _groups(plan: Plan) -> Table:
    table = Table("on", "models", box=None, pad_edge=False, header_style="dim")
    for name in ("replicas", "memory", "busy", "allowed", "$/h"):
        table.add_column(name, justify="right")
    for group in plan.groups:
        replicas = group.replicas
        size = f" x{replicas.num_devices}" if replicas.num_devices > 1 else ""
        table.add_row(
            f"{replicas.device}{size}",
            ", ".join(f"{model.name} {model.dtype}" for model in replicas.models),
            str(replicas.num_replicas),
            f"{format_bytes(group.used_bytes)} of {format_bytes(group.memory_bytes)}",
            f"{group.utilisation:.0%}",
            f"{group.max_utilisation:.0%}",
            "" if group.usd_per_hour is None else f"{group.usd_per_hour:,.2f}",
        )
    return table


def _classes(plan: Plan) -> Table:
    source = plan.classes[0].attainment.source
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    for name in ("class", "requests/s", "promise", f"p50 ({source})", "p95", "p99", "in time"):
        table.add_column(name, justify="left" if name in ("class", "promise") else "right")
    for one in plan.classes:
        for place, latency in enumerate(one.latencies):
            promise = f"{latency.metric.removesuffix('_s')} {format_seconds(latency.limit_s)}"
            table.add_row(
                one.name if place == 0 else "",
                f"{one.planned_rps:.3g}" if place == 0 else "",
                promise,
                *(
                    format_seconds(figure.value)
                    for figure in (latency.p50, latency.p95, latency.p99)
                ),
                _verdict(one) if place == 0 else "",
            )
    return table


def _verdict(one: ClassForecast) -> str:
    colour = "green" if one.is_met else "red"
    return f"[{colour}]{_band(one.attainment)}[/] of {one.percentile:.0%}"


def _band(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return f"{figure.value:.1%}"
    return f"{figure.value:.1%} ({figure.low:.1%} to {figure.high:.1%})"


def _candidates(plan: Plan) -> Table:
    left = [one for one in plan.candidates if one.standing is not Standing.CHOSEN]
    table = Table("not chosen", "why", box=None, pad_edge=False, header_style="dim")
    for one in left[:_SHOWN_CANDIDATES]:
        table.add_row(one.name, one.reason)
    if len(left) > _SHOWN_CANDIDATES:
        table.add_row(f"and {len(left) - _SHOWN_CANDIDATES} more", "see plan.json")
    return table
