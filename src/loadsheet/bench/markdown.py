"""The summary as Markdown tables that paste into an issue, a README or a spreadsheet."""

from collections.abc import Iterable, Sequence

from loadsheet.bench.summary import ClassSummary, Distribution, PhaseSummary, RunSummary
from loadsheet.estimate import Estimate
from loadsheet.metrics import DEFINITIONS
from loadsheet.workload.slo import TextSLO

_FEW = {"p90": 10, "p95": 20, "p99": 100}  # below, the quantile is about the maximum


def markdown_report(title: str, summary: RunSummary) -> str:
    """Three tables per phase (latency, rates, objectives), then the mix beside alone."""
    parts = [f"# {title}"]
    for phase in summary.phases:
        parts.append(_phase(phase))
    if summary.interference or summary.share_sum:
        parts.append(_comparison(summary))
    parts.append(
        "95 % confidence intervals in brackets, open where the sample is too small to close them; "
        "`*`: fewer values than the quantile needs, so it is about the maximum."
    )
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with columns padded, so that it also reads well in a terminal."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in [lines[0], rule, *lines[1:]]
    )


def _phase(phase: PhaseSummary) -> str:
    blocks = [
        f"## {phase.name}: {phase.window.length_s:.1f} s window",
        table(
            ("class", "metric", "n", "mean", "p50", "p90", "p95", "p99"),
            [_latency_row(item, entry) for item in phase.classes for entry in item.latency],
        ),
        table(
            ("class", "rate", "value", "unit"),
            [
                (item.traffic, name, with_interval(value), DEFINITIONS[name].unit)
                for item in phase.classes
                for name, value in item.rates.items()
            ],
        ),
        table(
            ("class", "due", "ok", "lost", "offered /s", "objective", "kept", "goodput /s", "met"),
            [_objective_row(item) for item in phase.classes],
        ),
        f"Joint: {phase.joint_goodput_rps:.3g} good requests/s, every class met: "
        f"{'yes' if phase.is_joint_met else 'no'}. Client: {phase.overhead.cpu_share:.0%} of a "
        f"core, network seen {phase.overhead.loop_delay_p99_s * 1e3:.1f} ms late at p99.",
    ]
    blocks += [f"- {item.traffic}: {note}" for item in phase.classes for note in item.notes]
    blocks += [f"- WARNING: {warning}" for warning in phase.overhead.warnings()]
    return "\n\n".join(blocks)


def _latency_row(item: ClassSummary, entry: Distribution) -> tuple[str, ...]:
    name = entry.name.removesuffix("_s")
    cells = [
        milliseconds(value) + ("*" if entry.num < _FEW.get(label, 0) else "")
        for label, value in entry.quantiles.items()
    ]
    return (item.traffic, f"{name} (ms)", str(entry.num), milliseconds(entry.mean), *cells)


def _objective_row(item: ClassSummary) -> tuple[str, ...]:
    counts, kept = item.counts, item.attainment
    slo = kept.slo
    if isinstance(slo, TextSLO):
        promise = f"ttft {slo.ttft_s * 1e3:g} ms, tpot {slo.tpot_s * 1e3:g} ms"
    else:
        promise = f"image in {slo.deadline_s:.3g} s"
    return (
        item.traffic,
        str(counts.due),
        str(counts.ok),
        str(counts.due - counts.ok),
        "closed" if item.offered_rps is None else f"{item.offered_rps:.3g}",
        f"{promise} at p{slo.percentile * 100:g} ({kept.origin})",
        f"{kept.share:.1%}",
        f"{kept.goodput_rps:.3g}",
        "yes" if kept.is_met else "no",
    )


def _comparison(summary: RunSummary) -> str:
    blocks = ["## the mix beside each class alone"]
    if summary.interference:
        rows = [
            (item.traffic, item.metric.removesuffix("_s"), item.quantile, with_interval(item.ratio))
            for item in summary.interference
        ]
        blocks.append(table(("class", "metric", "quantile", "mixed / alone"), rows))
    if summary.share_sum is not None:
        blocks.append(f"Share sum: {with_interval(summary.share_sum)} (1 = perfect time slicing)")
    return "\n\n".join(blocks)


def milliseconds(estimate: Estimate) -> str:
    return with_interval(
        Estimate(
            value=estimate.value * 1e3,
            low=None if estimate.low is None else estimate.low * 1e3,
            high=None if estimate.high is None else estimate.high * 1e3,
        )
    )


def with_interval(estimate: Estimate) -> str:
    """`12.3 [11.9, 12.8]`; `[≥ 11.9]` where only one side is known."""
    text = number(estimate.value)
    if estimate.low is not None and estimate.high is not None:
        return f"{text} [{number(estimate.low)}, {number(estimate.high)}]"
    if estimate.low is not None:
        return f"{text} [≥ {number(estimate.low)}]"
    if estimate.high is not None:
        return f"{text} [≤ {number(estimate.high)}]"
    return text


def number(value: float) -> str:
    """Three significant digits without exponents: 1234, 56.7, 0.0123."""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.2e}"
