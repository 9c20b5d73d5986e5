"""A simulation in the terminal: are the promises kept, and what are the devices doing."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from loadsheet.sim.deployment import Deployment
from loadsheet.sim.result import ClassResult, ReplicaResult, SimResult
from loadsheet.units import format_bytes, format_seconds

_SHOWN_REPLICAS = 12
_SHOWN = ("p50", "p95", "p99")


def print_simulation(console: Console, deployment: Deployment, result: SimResult) -> None:
    replicas = sum(group.num_replicas for group in deployment.groups)
    counted = f"{format_seconds(result.seconds)} after {format_seconds(result.warmup_s)}"
    fleet = f"replicas {replicas}, devices {deployment.num_devices}, router {deployment.router}"
    console.print(f"\n[bold]Simulated[/] {counted} of warm-up, seed {result.seed}; {fleet}")
    console.print(_classes(result))
    for line in _misses(result):
        console.print(f"[yellow]{line}[/]")
    console.print(_latencies(result))
    console.print(_replicas(result))
    met = "[green]every promise is kept[/]"
    broken = [one.name for one in result.classes if not one.is_met]
    if broken:
        met = f"[red]not kept: {', '.join(broken)}[/]"
    cost = "no price" if result.cost_usd is None else f"${result.cost_usd:.4f}"
    console.print(
        f"joint goodput [bold]{result.joint_goodput_rps:.3g}[/] requests/s, {met}, "
        f"{result.energy_j / 3.6e6:.3g} kWh, {cost}\n"
    )


def _classes(result: SimResult) -> Table:
    table = _table("class", "model", "due", "served", "in time", "goodput/s")
    for one in result.classes:
        counts, colour = one.counts, "green" if one.is_met else "red"
        table.add_row(
            one.name,
            one.model,
            f"{counts.due:,}",
            f"{counts.served:,}",
            f"[{colour}]{one.attainment:.1%}[/] of {one.slo.percentile:.0%}",
            _interval(one),
        )
    return table


def _misses(result: SimResult) -> list[str]:
    """What became of requests that were not served, and the commonest reason given."""
    lines = []
    for one in result.classes:
        counts = one.counts
        parts = [
            f"{number:,} {word}"
            for number, word in (
                (counts.rejected, "rejected"),
                (counts.lost, "lost with their replica"),
                (counts.unfinished, "not over when the simulation ended"),
            )
            if number
        ]
        if parts:
            told = Counter(
                record.message
                for record in result.records
                if record.message and record.job.class_name == one.name
            )
            reason = "".join(f"; {text}" for text, _ in told.most_common(1))
            lines.append(f"{one.name}: {', '.join(parts)}{reason}")
    return lines


def _interval(one: ClassResult) -> str:
    rate = one.goodput_rps
    if rate.low is None or rate.high is None:
        return f"{rate.value:.3g}"
    return f"{rate.value:.3g} ({rate.low:.3g}–{rate.high:.3g})"


def _latencies(result: SimResult) -> Table:
    table = _table("class", "metric", "mean", *_SHOWN)
    rows = [(one.name, item) for one in result.classes for item in one.latency]
    rows += [(model, item) for model, item in result.itl.items()]
    for name, item in rows:
        quantiles = [format_seconds(item.quantiles[label].value) for label in _SHOWN]
        table.add_row(name, item.name, format_seconds(item.mean.value), *quantiles)
    return table


def _replicas(result: SimResult) -> Table:
    table = _table("replica", "busy", "text", "encode", "denoise", "vae", "peak KV", "peak latents")
    for one in result.replicas[:_SHOWN_REPLICAS]:
        shares = [
            f"{seconds / one.up_s:.0%}" if one.up_s else "" for seconds in one.busy_s.values()
        ]
        table.add_row(one.name, f"{one.utilisation:.0%}", *shares, *_peaks(one))
    if len(result.replicas) > _SHOWN_REPLICAS:
        table.add_row(f"… {len(result.replicas) - _SHOWN_REPLICAS} more", *[""] * 7)
    return table


def _peaks(one: ReplicaResult) -> tuple[str, str]:
    """Most blocks of any text model, most bytes of all image models."""
    blocks = max((max(s.used_blocks.values(), default=0) for s in one.memory), default=0)
    latents = max((sum(s.used_bytes.values()) for s in one.memory), default=0)
    return f"{blocks:,} blocks", format_bytes(latents)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index > 1 else "left", no_wrap=True)
    return table
