"""Two runs side by side, with intervals on the ratio instead of two numbers to squint at.

Runs of the same workload and seed ask for the same requests, so the i-th request of a class in one
run is paired with the i-th in the other and pairs are resampled together: what made a request long
in both (its prompt, its number of tokens) cancels. Where requests do not pair up, each side is
resampled by itself, and the comparison says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadsheet.bench.latency import Groups, latency_groups
from loadsheet.bench.record import RequestRecord
from loadsheet.bench.stored_run import StoredRun
from loadsheet.bench.throughput import main_rate_batches
from loadsheet.estimate import Estimate, Floats, ratio, resampled_quantiles
from loadsheet.workload.request import RequestKind

_NUM_RESAMPLES = 1000
_MIN_PAIRED_SHARE = 0.5
_METRICS = {
    RequestKind.TEXT: ("ttft_s", "tpot_s", "itl_s", "e2e_s"),
    RequestKind.IMAGE: ("time_to_image_s", "first_preview_s"),
}
_MAIN_RATE = {RequestKind.TEXT: "output_tokens_per_s", RequestKind.IMAGE: "images_per_s"}


class Verdict(StrEnum):
    BETTER = "B better"
    WORSE = "B worse"
    OPEN = "no difference shown"
    FEW = "too few values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`ratio` is B / A, None where A is 0; `num` counts pairs, else the smaller side.

    `is_enough`: a p99 of fewer than 100 values is about the maximum, and no bootstrap repairs that.
    """

    phase: str
    traffic: str
    metric: str
    statistic: str
    a: float
    b: float
    ratio: Estimate | None
    num: int
    is_paired: bool
    higher_is_better: bool
    is_enough: bool = True

    @property
    def verdict(self) -> Verdict:
        if not self.is_enough:
            return Verdict.FEW
        if self.ratio is None or self.ratio.low is None or self.ratio.high is None:
            return Verdict.OPEN
        low, high = self.ratio.low, self.ratio.high
        if low <= 1 <= high:
            return Verdict.OPEN
        return Verdict.BETTER if (low > 1) == self.higher_is_better else Verdict.WORSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    a: str
    b: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]


def compare_runs(a: StoredRun, b: StoredRun, seed: int = 0) -> Comparison:
    rng = np.random.default_rng(seed)
    changes = [
        change
        for phase in a.windows
        if phase in b.windows
        for traffic in a.promises
        if traffic in b.promises
        for change in _class_changes(a, b, phase, traffic, rng)
    ]
    return Comparison(
        a=a.label, b=b.label, changes=tuple(changes), warnings=tuple(_warnings(a, b, changes))
    )


def _warnings(a: StoredRun, b: StoredRun, changes: Sequence[Change]) -> Iterator[str]:
    for name, value in a.facts.items():
        if b.facts[name] != value:
            yield f"the runs differ in {name}: {value} and {b.facts[name]}"
    if any(not change.is_paired for change in changes):
        yield "requests do not pair up everywhere: such intervals are wider than they need to be"
    if not changes:
        yield "the runs have no phase and class in common"


def _class_changes(
    a: StoredRun, b: StoredRun, phase: str, traffic: str, rng: np.random.Generator
) -> Iterator[Change]:
    sides = (a.due(phase, traffic), b.due(phase, traffic))
    if not all(any(record.is_ok for record in side) for side in sides):
        return
    kind = sides[0][0].kind
    (one, two), is_paired = _good_pairs(*sides)
    found_a, found_b = latency_groups(one, kind), latency_groups(two, kind)
    for metric in _METRICS[kind]:
        if metric in found_a and metric in found_b:
            both = (found_a[metric], found_b[metric])
            for label, q in (("p50", 0.5), ("p99", 0.99)):
                values = (_pooled(both[0], q), _pooled(both[1], q))
                can_pair = is_paired and len(both[0]) == len(both[1])
                draws = _draws(both, q, rng, is_paired=can_pair)
                yield Change(
                    phase=phase,
                    traffic=traffic,
                    metric=metric,
                    statistic=label,
                    a=values[0],
                    b=values[1],
                    ratio=ratio(values[1], values[0], draws[1], draws[0]),
                    num=min(len(both[0]), len(both[1])),
                    is_paired=can_pair,
                    higher_is_better=False,
                    is_enough=min(_size(side) for side in both) * (1 - q) >= 1,
                )
    yield _kept_change(a, b, phase, traffic, rng)
    yield from _rate_change(a, b, phase, traffic, kind, rng)


def _paired(
    a: Sequence[RequestRecord], b: Sequence[RequestRecord]
) -> tuple[tuple[list[RequestRecord], list[RequestRecord]], bool]:
    """Records of the same request on both sides, in order; all of them if too few pair."""
    by_key_a = {(record.index, record.shape): record for record in a}
    by_key_b = {(record.index, record.shape): record for record in b}
    shared = [key for key in by_key_a if key in by_key_b]
    if len(shared) < _MIN_PAIRED_SHARE * min(len(by_key_a), len(by_key_b)):
        return (list(a), list(b)), False
    return ([by_key_a[key] for key in shared], [by_key_b[key] for key in shared]), True


def _good_pairs(
    a: Sequence[RequestRecord], b: Sequence[RequestRecord]
) -> tuple[tuple[list[RequestRecord], list[RequestRecord]], bool]:
    return _paired(
        [record for record in a if record.is_ok], [record for record in b if record.is_ok]
    )


def _draws(
    sides: tuple[Groups, Groups], q: float, rng: np.random.Generator, *, is_paired: bool
) -> list[Floats]:
    """Resampled quantiles of A and of B."""
    # the same seed draws the same requests on both sides: that is the pairing
    seeds = [int(seed) for seed in rng.integers(2**63, size=2)]
    return [
        resampled_quantiles(
            side, q, np.random.default_rng(seeds[0] if is_paired else seed), _NUM_RESAMPLES
        )
        for side, seed in zip(sides, seeds, strict=True)
    ]


def _kept_change(
    a: StoredRun, b: StoredRun, phase: str, traffic: str, rng: np.random.Generator
) -> Change:
    """Share of requests that met every objective, each run by its own promise."""
    (one, two), is_paired = _paired(a.due(phase, traffic), b.due(phase, traffic))
    kept = [
        np.array([run.promises[traffic].is_kept(record) for record in side], dtype=np.float64)
        for run, side in ((a, one), (b, two))
    ]
    picks = [rng.integers(0, len(side), (_NUM_RESAMPLES, len(side))) for side in kept]
    if is_paired:
        picks[1] = picks[0]
    shares = [side[pick].mean(axis=1) for side, pick in zip(kept, picks, strict=True)]
    return Change(
        phase=phase,
        traffic=traffic,
        metric="slo_attainment",
        statistic="share",
        a=float(kept[0].mean()),
        b=float(kept[1].mean()),
        ratio=ratio(float(kept[1].mean()), float(kept[0].mean()), shares[1], shares[0]),
        num=min(len(kept[0]), len(kept[1])),
        is_paired=is_paired,
        higher_is_better=True,
    )


def _rate_change(
    a: StoredRun,
    b: StoredRun,
    phase: str,
    traffic: str,
    kind: RequestKind,
    rng: np.random.Generator,
) -> Iterator[Change]:
    sides = [main_rate_batches(run.of(phase, traffic), kind, run.windows[phase]) for run in (a, b)]
    if not sides[0].any():
        return
    picks = rng.integers(0, len(sides[0]), (_NUM_RESAMPLES, len(sides[0])))
    means = [side[picks].mean(axis=1) for side in sides]
    a_rate, b_rate = float(sides[0].mean()), float(sides[1].mean())
    yield Change(
        phase=phase,
        traffic=traffic,
        metric=_MAIN_RATE[kind],
        statistic="mean",
        a=a_rate,
        b=b_rate,
        ratio=ratio(b_rate, a_rate, means[1], means[0]),
        num=len(sides[0]),
        is_paired=True,
        higher_is_better=True,
    )


def _size(groups: Groups) -> int:
    return sum(len(group) for group in groups)


def _pooled(groups: Groups, q: float) -> float:
    return float(np.quantile(np.concatenate([np.asarray(group) for group in groups]), q))
