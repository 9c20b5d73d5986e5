"""One class of traffic: who asks for what, how often, and what it was promised.

A class draws from its own seeded streams, one for arrivals and one for lengths. Its i-th request is
therefore the same alone and in a mix, in an open and in a closed loop, which is what makes runs
comparable pair by pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.lengths import Fixed, Length
from loadsheet.workload.request import RequestKind
from loadsheet.workload.shape import ImageShape, Shape, TextShape
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.trace import Replay

Arrivals = OpenLoop | ClosedLoop | Replay


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneSLO:
    """An image is due `factor` times the time it takes on an idle server, measured beforehand.

    The default of vLLM-Omni's benchmark (3), scaled to other shapes by pixels × steps.
    """

    factor: float = 3.0
    percentile: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTraffic:
    """`ignore_eos` asks the server to write exactly the drawn number of tokens.

    A Replay brings its own lengths; then those given here are not used.
    """

    name: str
    arrivals: Arrivals
    prompt_tokens: Length = Fixed(value=128)
    output_tokens: Length = Fixed(value=64)
    model: str | None = None
    slo: TextSLO = TextSLO()
    ignore_eos: bool = True

    @property
    def kind(self) -> RequestKind:
        return RequestKind.TEXT

    def draw(self, rng: np.random.Generator) -> TextShape:
        return TextShape(
            prompt_tokens=self.prompt_tokens.sample(rng),
            output_tokens=self.output_tokens.sample(rng),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTraffic:
    """`partial_images` above 0 asks for previews over SSE."""

    name: str
    arrivals: Arrivals
    width: int = 512
    height: int = 512
    num_steps: Length = Fixed(value=20)
    guidance_scale: float | None = None
    num_images: int = 1
    partial_images: int = 0
    model: str | None = None
    slo: ImageSLO | StandaloneSLO = StandaloneSLO()

    @property
    def kind(self) -> RequestKind:
        return RequestKind.IMAGE

    def draw(self, rng: np.random.Generator) -> ImageShape:
        return ImageShape(
            width=self.width,
            height=self.height,
            num_steps=self.num_steps.sample(rng),
            guidance_scale=self.guidance_scale,
            num_images=self.num_images,
        )


Traffic = TextTraffic | ImageTraffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The index-th request of a class; a closed loop has no arrival time of its own."""

    index: int
    arrival_s: float | None
    shape: Shape


def draws(traffic: Traffic, seed: int) -> Iterator[Draw]:
    """The requests of a class in order; endless, except for a trace."""
    key = crc32(traffic.name.encode())
    arrivals_rng = np.random.default_rng([seed, key, 0])
    shapes_rng = np.random.default_rng([seed, key, 1])
    match traffic.arrivals:
        case Replay() as replay:
            rows = (row for row in replay.played() if row.shape.kind is traffic.kind)
            for index, row in enumerate(rows):
                yield Draw(index=index, arrival_s=row.arrival_s, shape=row.shape)
        case OpenLoop() as process:
            times = process.times_s(arrivals_rng, _rhythm_rng(process, seed, key))
            for index, arrival_s in enumerate(times):
                yield Draw(index=index, arrival_s=arrival_s, shape=traffic.draw(shapes_rng))
        case ClosedLoop():
            index = 0
            while True:
                yield Draw(index=index, arrival_s=None, shape=traffic.draw(shapes_rng))
                index += 1


def _rhythm_rng(process: OpenLoop, seed: int, key: int) -> np.random.Generator:
    """Of the class, or of all classes that share the rhythm."""
    shared = process.rhythm.shared if process.rhythm else ""
    return np.random.default_rng([seed, crc32(shared.encode()) if shared else key, 2])
