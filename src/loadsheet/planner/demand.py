"""What a class of traffic asks for: rates to plan with, and the moments of its sizes.

The planned rate is a percentile over five-minute bins of the arrivals, not the mean: a plan that is
right on average is wrong half of the time (exact placements degrade sharply when demand
exceeds the estimate).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import NormalDist, fmean

import numpy as np
from numpy.typing import NDArray

from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.request import RequestKind
from loadsheet.workload.rhythm import Rhythm
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.trace import Replay
from loadsheet.workload.traffic import ImageTraffic, TextTraffic, Traffic, draws

BIN_S = 300.0
_NUM_BINS = 7 * 24 * 12  # a week
_NUM_DRAWS = 400
_HEAD = 1.1  # how far lengths may exceed the longest of the drawn ones


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSizes:
    """Tokens. `resident_tokens` is what a request reserves, prompt and answer, on average;
    `context_tokens` the mean context of its decodes; `slow_prompt` the 95th percentile of prompts,
    `prompt_cv` their coefficient of variation."""

    prompt_tokens: float
    output_tokens: float
    context_tokens: float
    resident_tokens: float
    longest_tokens: int
    slow_prompt: float
    prompt_cv: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSizes:
    """One image; a request for several is that many images."""

    width: int
    height: int
    num_steps: float
    longest_steps: int
    is_guided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One class. `arrival_cv` is that of the gaps between requests, 1 for Poisson."""

    traffic: Traffic
    model: str
    mean_rps: float
    planned_rps: float
    arrival_cv: float
    sizes: TextSizes | ImageSizes
    slo: TextSLO | ImageSLO

    @property
    def name(self) -> str:
        return self.traffic.name

    @property
    def kind(self) -> RequestKind:
        return self.traffic.kind


def demand_of(traffic: Traffic, percentile: float, slo: TextSLO | ImageSLO, seed: int) -> Demand:
    """Raises ConfigError for a class without a model; deterministic in `seed`."""
    if traffic.model is None:
        raise ConfigError(f'class {traffic.name} names no model; give model = "NAME" to plan it')
    shapes = [draw.shape for draw in islice(draws(traffic, seed), _NUM_DRAWS)]
    if not shapes:
        raise ConfigError(f"class {traffic.name} has no request; its trace holds none of its kind")
    images = shapes[0].num_images if isinstance(shapes[0], ImageShape) else 1
    mean_rps = images * _mean_rps(traffic, slo)
    cv = _arrival_cv(traffic)
    return Demand(
        traffic=traffic,
        model=traffic.model,
        mean_rps=mean_rps,
        planned_rps=images * _planned_rps(traffic, mean_rps / images, cv, percentile),
        arrival_cv=cv,
        sizes=_sizes(shapes),
        slo=slo,
    )


def _sizes(shapes: Sequence[TextShape | ImageShape]) -> TextSizes | ImageSizes:
    texts = [shape for shape in shapes if isinstance(shape, TextShape)]
    if not texts:
        return _image_sizes([shape for shape in shapes if isinstance(shape, ImageShape)])
    prompts = np.asarray([shape.prompt_tokens for shape in texts], dtype=np.float64)
    outputs = np.asarray([shape.output_tokens for shape in texts], dtype=np.float64)
    held = (prompts + outputs / 2) * outputs
    return TextSizes(
        prompt_tokens=float(prompts.mean()),
        output_tokens=float(outputs.mean()),
        context_tokens=float(held.sum() / outputs.sum()),
        resident_tokens=float(((prompts + outputs) * outputs).sum() / outputs.sum()),
        longest_tokens=math.ceil(float((prompts + outputs).max()) * _HEAD),
        slow_prompt=float(np.quantile(prompts, 0.95)),
        prompt_cv=float(prompts.std() / prompts.mean()),
    )


def _image_sizes(shapes: Sequence[ImageShape]) -> ImageSizes:
    first = shapes[0]
    sizes = {(shape.width, shape.height) for shape in shapes}
    if len(sizes) > 1:
        raise ConfigError(f"a class of images in {len(sizes)} sizes; split it into one per size")
    return ImageSizes(
        width=first.width,
        height=first.height,
        num_steps=fmean(shape.num_steps for shape in shapes),
        longest_steps=max(shape.num_steps for shape in shapes),
        is_guided=first.guidance_scale is None or first.guidance_scale > 1,
    )


def _mean_rps(traffic: Traffic, slo: TextSLO | ImageSLO) -> float:
    match traffic.arrivals:
        case OpenLoop() as process:
            return process.rate_rps
        case Replay() as replay:
            times = _times_s(replay, traffic)
            return len(times) / max(times[-1], 1e-9)
        case ClosedLoop() as loop:  # users who are answered just in time
            return loop.concurrency / (loop.think_s + _promised_s(traffic, slo))


def _promised_s(traffic: Traffic, slo: TextSLO | ImageSLO) -> float:
    if isinstance(slo, ImageSLO):
        return slo.deadline_s
    assert isinstance(traffic, TextTraffic)
    shapes = [draw.shape for draw in islice(draws(traffic, 0), _NUM_DRAWS)]
    tokens = fmean(shape.output_tokens for shape in shapes if isinstance(shape, TextShape))
    return slo.ttft_s + slo.tpot_s * (tokens - 1)


def _planned_rps(traffic: Traffic, mean_rps: float, cv: float, percentile: float) -> float:
    """The percentile over five-minute bins: normal for renewal arrivals, counted for traces."""
    if isinstance(traffic.arrivals, ClosedLoop):
        return mean_rps
    if isinstance(traffic.arrivals, Replay):
        times = _times_s(traffic.arrivals, traffic)
        bin_s = min(BIN_S, times[-1] / 12)
        if len(times) >= 48 and bin_s > 0:
            counts, _ = np.histogram(times, bins=max(1, int(times[-1] / bin_s)))
            return max(mean_rps, float(np.quantile(counts, percentile)) / bin_s)
    z = max(0.0, NormalDist().inv_cdf(percentile))
    busy_rps = mean_rps
    if isinstance(traffic.arrivals, OpenLoop) and traffic.arrivals.rhythm is not None:
        factors = binned_factors(traffic.arrivals.rhythm, BIN_S, _NUM_BINS)
        busy_rps *= max(1.0, float(np.quantile(factors, percentile)))
    return busy_rps + z * cv * math.sqrt(busy_rps / BIN_S)


def binned_factors(rhythm: Rhythm, bin_s: float, num_bins: int) -> NDArray[np.float64]:
    """Mean factor on the rate in each of `num_bins` equal bins from the start of a run."""
    edges = np.arange(num_bins + 1) * bin_s
    times, areas = [0.0], [0.0]
    for piece_s, factor in rhythm.pieces(np.random.default_rng(0)):
        times.append(times[-1] + piece_s)
        areas.append(areas[-1] + piece_s * factor)
        if times[-1] >= edges[-1]:
            break
    return np.asarray(np.diff(np.interp(edges, times, areas)) / bin_s, dtype=np.float64)


def _arrival_cv(traffic: Traffic) -> float:
    match traffic.arrivals:
        case OpenLoop() as process:
            return process.cv
        case Replay() as replay:
            gaps = np.diff(_times_s(replay, traffic))
            return float(gaps.std() / gaps.mean()) if len(gaps) and gaps.mean() > 0 else 1.0
        case ClosedLoop():
            return 1.0


def _times_s(replay: Replay, traffic: ImageTraffic | TextTraffic) -> list[float]:
    return [row.arrival_s for row in replay.played() if row.shape.kind is traffic.kind]
