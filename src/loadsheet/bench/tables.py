"""The tables of a report, as data; Markdown and HTML only draw them."""

from dataclasses import dataclass

from loadsheet.bench.summary import ClassSummary, PhaseSummary, RunSummary
from loadsheet.distribution import Distribution
from loadsheet.estimate import Estimate
from loadsheet.metrics import DEFINITIONS
from loadsheet.workload.slo import SLO, TextSLO

_FEW = {"p90": 10, "p95": 20, "p99": 100}  # below, the quantile is about the maximum

INTERVALS = (
    "95 % confidence intervals in brackets, open where the sample is too small to close them; "
    "`*`: fewer values than the quantile needs, so it is about the maximum."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def phase_tables(phase: PhaseSummary) -> tuple[Table, ...]:
    """Latency, rates, objectives."""
    return (
        Table(
            header=("class", "metric", "n", "mean", "p50", "p90", "p95", "p99"),
            rows=tuple(
                _latency_row(item, entry) for item in phase.classes for entry in item.latency
            ),
        ),
        Table(
            header=("class", "rate", "value", "unit"),
            rows=tuple(
                (item.traffic, name, with_interval(value), DEFINITIONS[name].unit)
                for item in phase.classes
                for name, value in item.rates.items()
            ),
        ),
        Table(
            header=(
                *("class", "due", "ok", "lost", "offered /s", "objective"),
                *("kept", "goodput /s", "met"),
            ),
            rows=tuple(_objective_row(item) for item in phase.classes),
        ),
    )


def phase_remarks(phase: PhaseSummary) -> tuple[str, ...]:
    """The joint verdict, the client's own cost, and what to know before believing the numbers."""
    joint = (
        f"Joint: {number(phase.joint_goodput_rps)} good requests/s, every class met: "
        f"{'yes' if phase.is_joint_met else 'no'}. Client: {phase.overhead.cpu_share:.0%} of a "
        f"core, network seen {phase.overhead.loop_delay_p99_s * 1e3:.1f} ms late at p99."
    )
    notes = [f"{item.traffic}: {note}" for item in phase.classes for note in item.notes]
    return (joint, *notes, *(f"WARNING: {text}" for text in phase.overhead.warnings()))


def interference_table(summary: RunSummary) -> Table:
    return Table(
        header=("class", "metric", "quantile", "n", "mixed / alone"),
        rows=tuple(
            (
                item.traffic,
                item.metric.removesuffix("_s"),
                item.quantile,
                str(item.num),
                with_interval(item.ratio) + _mark(item.num, item.quantile),
            )
            for item in summary.interference
        ),
    )


def share_sum_text(summary: RunSummary) -> str:
    """With a warning where the number cannot be: a class cannot gain from company."""
    assert summary.share_sum is not None
    text = f"Share sum: {with_interval(summary.share_sum)} (1 = perfect time slicing)"
    num_classes = len(summary.phases[-1].classes)
    if summary.share_sum.value > 1.05 * num_classes:
        text += (
            f"\n\nWARNING: a share sum above {num_classes} means that the machine was busier with "
            "other things while the classes played alone; measure again on a quiet machine"
        )
    return text


def definition_table() -> Table:
    return Table(
        header=("metric", "unit", "formula here", "elsewhere"),
        rows=tuple(
            (item.name, item.unit, item.formula, item.elsewhere) for item in DEFINITIONS.values()
        ),
    )


def promise_text(slo: SLO) -> str:
    if isinstance(slo, TextSLO):
        promise = f"ttft {slo.ttft_s * 1e3:g} ms, tpot {slo.tpot_s * 1e3:g} ms"
    else:
        promise = f"image in {slo.deadline_s:.3g} s"
    return f"{promise} at p{slo.percentile * 100:g}"


def _latency_row(item: ClassSummary, entry: Distribution) -> tuple[str, ...]:
    cells = [
        milliseconds(value) + _mark(entry.num, label) for label, value in entry.quantiles.items()
    ]
    name = f"{entry.name.removesuffix('_s')} (ms)"
    return (item.traffic, name, str(entry.num), milliseconds(entry.mean), *cells)


def _objective_row(item: ClassSummary) -> tuple[str, ...]:
    counts, kept = item.counts, item.attainment
    return (
        item.traffic,
        str(counts.due),
        str(counts.ok),
        str(counts.due - counts.ok),
        "closed" if item.offered_rps is None else number(item.offered_rps),
        f"{promise_text(kept.slo)} ({kept.origin})",
        f"{kept.share:.1%}",
        number(kept.goodput_rps),
        "yes" if kept.is_met else "no",
    )


def _mark(num: int, label: str) -> str:
    return "*" if num < _FEW.get(label, 0) else ""


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
