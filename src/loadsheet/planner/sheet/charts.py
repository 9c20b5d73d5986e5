"""The pictures of the load sheet that do not move: bytes, roofline, promises, Pareto front."""

import math
from collections.abc import Sequence
from html import escape

from loadsheet.planner.plan import LatencyForecast, ParetoPoint, PlannedGroup
from loadsheet.planner.sheet.axes import Axes, Axis
from loadsheet.planner.sheet.roof_points import Roof, RoofPoint
from loadsheet.units import format_bytes, format_seconds

_USABLE = 0.95  # of the memory; see planner/fit.py
_RADIUS = 6
_BAND_WIDTH = 220


def why(value: str, formula: str, extra: str = "") -> str:
    """A number that shows its formula on click."""
    return (
        f'<button type="button" class="why {extra}" data-why="{escape(formula)}">'
        f"{escape(value)}</button>"
    )


def memory_bar(group: PlannedGroup) -> str:
    """One device of the group; its right end is the out-of-memory line."""
    scale = max(group.memory_bytes, group.used_bytes)
    parts = []
    for line in group.ledger:
        name = f"{line.owner} {line.model} {line.part}".strip()
        text = f"{name}: {format_bytes(line.num_bytes)} = {line.num_bytes:,} bytes"
        wide = 100 * line.num_bytes / scale
        label = line.model or line.owner
        shown = escape(f"{label} {format_bytes(line.num_bytes)}") if wide > 14 else ""
        parts.append(
            f'<button type="button" class="why part {line.owner}" style="width:{wide:.3f}%" '
            f'title="{escape(text)}" aria-label="{escape(text)}" data-why="{escape(text)}">'
            f"{shown}</button>"
        )
    end = 100 * group.memory_bytes / scale
    return (
        f'<div class="bar">{"".join(parts)}'
        f'<i class="usable" style="left:{end * _USABLE:.2f}%" title="planned up to here: 95 %"></i>'
        f'<i class="oom" style="left:calc({end:.2f}% - 3px)" title="out of memory"></i></div>'
    )


def roofline(roofs: Sequence[Roof], points: Sequence[RoofPoint]) -> str:
    """Roofs of all devices in one picture; a letter per point, explained beside it."""
    if not points:
        return ""
    ridges = [roof.flops_per_s / roof.bytes_per_s for roof in roofs]
    edges = [*ridges, *(point.intensity for point in points)]
    low, high = min(edges) / 3, max(edges) * 3
    tops = [roof.flops_per_s for roof in roofs]
    floors = [min(point.flops_per_s, point.intensity * _rate(point, roofs)) for point in points]
    axes = Axes(
        x=Axis(label="FLOP per byte", low=low, high=high),
        y=Axis(label="FLOP/s of one device", low=min(floors) / 3, high=max(tops) * 2),
    )
    body = []
    for index, roof in enumerate(roofs):
        start = max(low, axes.y.low / roof.bytes_per_s)
        path = [
            (start, start * roof.bytes_per_s),
            (roof.flops_per_s / roof.bytes_per_s, roof.flops_per_s),
            (high, roof.flops_per_s),
        ]
        body.append(axes.line(path, f"roof{index % 4}"))
    body += [_roof_mark(axes, index, point) for index, point in enumerate(points)]
    return axes.svg("roofline of prefill, decode, denoise and VAE (computed)", body)


def letter(index: int) -> str:
    """A, B, … Z, A1, B1, …"""
    rounds, place = divmod(index, 26)
    return chr(ord("A") + place) + (str(rounds) if rounds else "")


def roof_formula(point: RoofPoint) -> str:
    bound = "memory" if point.is_memory_bound else "arithmetic"
    return (
        f"{point.model}, {point.phase}, batch {point.batch}, one device ({point.device}): "
        f"{point.flops:.4g} FLOP / {point.num_bytes:.4g} bytes = {point.intensity:.3g} FLOP/byte; "
        f"{point.flops:.4g} FLOP / {format_seconds(point.seconds)} = "
        f"{point.flops_per_s / 1e12:.3g} TFLOP/s; bound by {bound} (computed)"
    )


def _roof_mark(axes: Axes, index: int, point: RoofPoint) -> str:
    x, y = axes.at(point.intensity, max(point.flops_per_s, axes.y.low))
    kind = "text" if point.phase in ("prefill", "decode") else "image"
    text = roof_formula(point)
    return (
        f'<g class="why mark {kind}" tabindex="0" role="button" aria-label="{escape(text)}" '
        f'data-why="{escape(text)}"><circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}"/>'
        f'<text x="{x + 9:.1f}" y="{y - 5:.1f}">{letter(index)}</text></g>'
    )


def _rate(point: RoofPoint, roofs: Sequence[Roof]) -> float:
    return next(roof.bytes_per_s for roof in roofs if roof.device == point.device)


def promise_band(one: LatencyForecast) -> str:
    """p50 to p99 on a logarithmic scale that ends at three times the limit."""

    def place(value_s: float) -> float:
        share = math.log10(max(value_s / one.limit_s, 1e-2) / 1e-2) / math.log10(300)
        return _BAND_WIDTH * min(1.0, share)

    low, mid, high = (place(figure.value) for figure in (one.p50, one.p95, one.p99))
    limit = place(one.limit_s)
    band_low = place(one.p99.low if one.p99.low is not None else one.p99.value)
    band_high = place(one.p99.high if one.p99.high is not None else one.p99.value)
    tone = "good" if one.is_met else "bad"
    label = f"p50 {format_seconds(one.p50.value)}, limit {format_seconds(one.limit_s)}"
    return (
        f'<svg class="band {tone}" viewBox="0 0 {_BAND_WIDTH} 18" role="img" '
        f'aria-label="{label}">'
        f'<path class="range" d="M{low:.1f} 9H{high:.1f}"/>'
        f'<path class="error" d="M{band_low:.1f} 9H{band_high:.1f}"/>'
        f'<circle cx="{low:.1f}" cy="9" r="3"/><circle cx="{mid:.1f}" cy="9" r="3"/>'
        f'<circle cx="{high:.1f}" cy="9" r="4"/>'
        f'<path class="limit" d="M{limit:.1f} 1V17"/></svg>'
    )


def pareto(points: Sequence[ParetoPoint]) -> str:
    """Dollars, or devices where there is no price, over traffic: silo beside shared."""
    has_price = all(point.usd_per_hour is not None for point in points)
    known = [(point, _price(point, has_price=has_price)) for point in points]
    if not known:
        return ""
    tops = [value for _, value in known]
    factors = [point.rate_factor for point, _ in known]
    axes = Axes(
        x=Axis(label="x the planned traffic", low=0, high=max(factors) * 1.1, is_log=False),
        y=Axis(
            label="$ per hour" if has_price else "devices",
            low=0,
            high=max(tops) * 1.15 or 1.0,
            is_log=False,
        ),
    )
    body = []
    for is_shared in (False, True):
        mine = [(p.rate_factor, value) for p, value in known if p.is_shared is is_shared]
        if len(mine) > 1:
            body.append(axes.line(sorted(mine), "shared" if is_shared else "silo"))
    body += [_pareto_mark(axes, point, value) for point, value in known]
    return axes.svg("cost over traffic, models alone and together", body)


def _pareto_mark(axes: Axes, point: ParetoPoint, value: float) -> str:
    x, y = axes.at(point.rate_factor, value)
    cost = "no price" if point.usd_per_hour is None else f"${point.usd_per_hour:,.2f}/h"
    kind = "models may share" if point.is_shared else "each model alone"
    text = (
        f"{point.label}: {kind}, {point.rate_factor:g} x the planned traffic, "
        f"{point.num_devices} devices, {cost}, {point.power_w / 1e3:,.1f} kW"
    )
    name = ("shared" if point.is_shared else "silo") + (" chosen" if point.is_chosen else "")
    radius = _RADIUS + 3 if point.is_chosen else _RADIUS - 1
    return (
        f'<g class="why mark {name}" tabindex="0" role="button" aria-label="{escape(text)}" '
        f'data-why="{escape(text)}"><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/></g>'
    )


def _price(point: ParetoPoint, *, has_price: bool) -> float:
    return (point.usd_per_hour or 0.0) if has_price else float(point.num_devices)
