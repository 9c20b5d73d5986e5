"""The answer in five numbers: what to buy, what it costs, does it fit, is it kept, what breaks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadsheet.planner.plan import Plan, PlannedGroup
from loadsheet.planner.sheet.pool import Pool
from loadsheet.units import format_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """`tone` is good, bad or empty; `why` the formula with its numbers."""

    label: str
    value: str
    detail: str
    tone: str
    why: str


def verdict(plan: Plan, pools: Sequence[Pool]) -> tuple[Tile, ...]:
    return (_buy(plan), _cost(plan), _fits(plan), _kept(plan), _breaks(plan, pools))


def devices_text(plan: Plan) -> str:
    """`2 x h100-sxm-80gb, 1 x l40s`."""
    counts: dict[str, int] = {}
    for group in plan.groups:
        device = group.replicas.device
        counts[device] = counts.get(device, 0) + group.num_devices
    return ", ".join(f"{count:,} x {name}" for name, count in counts.items())


def first_limit(plan: Plan) -> tuple[PlannedGroup, float]:
    """The group that fills up first, and the factor on its planned traffic at which it does."""
    return min(((group, _headroom(plan, group)) for group in plan.groups), key=lambda pair: pair[1])


def _headroom(plan: Plan, group: PlannedGroup) -> float:
    working = max(1, group.replicas.num_replicas - plan.inputs.spare_replicas)
    used = sum(load.rate_rps * load.seconds_per_request for load in group.loads)
    room = working * (group.max_utilisation - group.decode_tax)
    return room / used if used else math.inf


def _buy(plan: Plan) -> Tile:
    groups = ", ".join(
        f"{group.replicas.num_replicas} x ({' + '.join(one.name for one in group.replicas.models)})"
        for group in plan.groups
    )
    return Tile(
        label="use", value=devices_text(plan), detail=groups, tone="", why=plan.num_devices.how
    )


def _cost(plan: Plan) -> Tile:
    if plan.usd_per_hour is None:
        return Tile(label="cost", value="no price", detail="give usd_per_hour", tone="", why="")
    hourly = plan.usd_per_hour.value
    parts = [
        f"{group.num_devices} x {group.replicas.device} = ${group.usd_per_hour:,.2f}/h"
        for group in plan.groups
        if group.usd_per_hour is not None
    ]
    return Tile(
        label="cost",
        value=f"${hourly:,.2f} /h",
        detail=f"${hourly * 730:,.0f} a month of 730 h, {plan.power_w.value / 1e3:,.1f} kW at most",
        tone="",
        why=f"{plan.usd_per_hour.how}\n" + "\n".join(parts),
    )


def _fits(plan: Plan) -> Tile:
    fullest = max(plan.groups, key=lambda group: group.used_bytes / group.memory_bytes)
    free = fullest.memory_bytes - fullest.used_bytes
    return Tile(
        label="fits" if free >= 0 else "does not fit",
        value=f"{fullest.used_bytes / fullest.memory_bytes:.0%} of memory",
        detail=f"{format_bytes(free)} below the out-of-memory line on {fullest.replicas.device}",
        tone="good" if free >= 0 else "bad",
        why=" + ".join(
            f"{line.owner} {line.model} {format_bytes(line.num_bytes)}" for line in fullest.ledger
        )
        + f" = {format_bytes(fullest.used_bytes)} of {format_bytes(fullest.memory_bytes)}",
    )


def _kept(plan: Plan) -> Tile:
    kept = [one for one in plan.classes if one.is_met]
    how = "by closed forms only" if plan.is_checked is None else "simulated"
    if plan.is_checked is not None:
        how += f", {len(plan.inputs.seeds)} seeds"
    missed = ", ".join(one.name for one in plan.classes if not one.is_met)
    return Tile(
        label="promises kept",
        value=f"{len(kept)} of {len(plan.classes)}",
        detail=f"{how}{'; missed: ' + missed if missed else ''}",
        tone="bad" if missed else "good",
        why="\n".join(
            f"{one.name}: {one.attainment.value:.1%} of requests in time, {one.percentile:.0%} "
            f"promised ({one.attainment.source}: {one.attainment.how})"
            for one in plan.classes
        ),
    )


def _breaks(plan: Plan, pools: Sequence[Pool]) -> Tile:
    group, factor = first_limit(plan)
    pool = next((one for one in pools if one.name == group.replicas.name), None)
    what, by = (pool.tightest if pool else "its load"), "time"
    if pool is not None and pool.room < factor:
        factor, what, by = pool.room, "memory for requests", "memory"
    work = " + ".join(
        f"{load.rate_rps:.3g}/s x {load.seconds_per_request * 1e3:.3g} ms" for load in group.loads
    )
    return Tile(
        label="breaks first as traffic grows",
        value=what,
        detail=f"at {factor:.2f} x the planned traffic, on {group.replicas.device}",
        tone="",
        why=f"{group.replicas.name} runs out of {by}.\n"
        f"(max utilisation {group.max_utilisation:.3f} - decode tax {group.decode_tax:.3f}) x "
        f"working replicas / ({work})",
    )
