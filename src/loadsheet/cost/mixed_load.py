"""A mix of chat and image requests on one device, as demands of its parts."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from loadsheet.cost.components import operators
from loadsheet.cost.resource_demand import ResourceDemand, demand_of
from loadsheet.cost.serving.decode_curve import BATCHES
from loadsheet.cost.serving.image_step import ImageModel, passes
from loadsheet.cost.serving.offline_image import is_modulated, issue_seconds, pass_kernels
from loadsheet.cost.serving.software import TextEngine
from loadsheet.cost.serving.text_step import (
    TextModel,
    decode_shape,
    prefill_shape,
    sharded,
    step_kernels,
)
from loadsheet.cost.shape import TokenShape
from loadsheet.cost.step_shape import ImageShape, StepKind
from loadsheet.errors import ConfigError
from loadsheet.workload.slo import ImageSLO, TextSLO

_IMAGE_BATCHES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextClass:
    """Replies of equal size. `share` of all requests are of this class."""

    share: float
    input_tokens: int
    output_tokens: int
    slo: TextSLO

    def __post_init__(self) -> None:
        _check_share(self.share)
        if min(self.input_tokens, self.output_tokens) < 1:
            raise ConfigError(
                f"input_tokens {self.input_tokens} and output_tokens {self.output_tokens} must "
                "each be 1 or more"
            )

    @property
    def mean_context(self) -> int:
        return self.input_tokens + self.output_tokens // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageClass:
    share: float
    width: int
    height: int
    steps: int
    is_guided: bool
    slo: ImageSLO

    def __post_init__(self) -> None:
        _check_share(self.share)
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}; it must be 1 or more")


@dataclass(slots=True)
class TextLoad:
    """Demands of one reply class, priced at a few batch sizes and affine between them."""

    model: TextModel
    engine: TextEngine
    work: TextClass
    _decodes: dict[int, ResourceDemand] = field(default_factory=dict)
    _prefill: ResourceDemand | None = None

    def decode(self, batch: float) -> ResourceDemand:
        """One iteration at the mean context. Below one sequence, the share of time in which there
        is one."""
        if batch <= 1:
            return self._decode_at(1) * batch
        if batch >= BATCHES[-1]:
            return self._decode_at(BATCHES[-1]) * (batch / BATCHES[-1])
        place = bisect_right(BATCHES, batch)
        low, high = BATCHES[place - 1], BATCHES[place]
        weight = (batch - low) / (high - low)
        return self._decode_at(low) * (1 - weight) + self._decode_at(high) * weight

    @property
    def prefill(self) -> ResourceDemand:
        """One prompt, alone."""
        if self._prefill is None:
            self._prefill = self._pass(prefill_shape(self.work.input_tokens))
        return self._prefill

    def _decode_at(self, batch: int) -> ResourceDemand:
        if batch not in self._decodes:
            found = self._pass(decode_shape(self.model, batch, self.work.mean_context))
            host_s = self.engine.sequence_us * batch * 1e-6
            self._decodes[batch] = found + _host(host_s)
        return self._decodes[batch]

    def _pass(self, shape: TokenShape) -> ResourceDemand:
        model = self.model
        walked = operators(model.component, shape, model.precision)
        kernels = step_kernels(model, shape, self.engine)
        host_s = self.engine.iteration_us * 1e-6
        return demand_of((sharded(op, model) for op in walked), model.device, kernels, host_s)


@dataclass(slots=True)
class ImageLoad:
    """Demands of one image: its encoding, steps and decoding, in batches of `batch`."""

    model: ImageModel
    work: ImageClass
    _priced: dict[int, ResourceDemand] = field(default_factory=dict)

    def image(self, batch: int) -> ResourceDemand:
        """One image's part of a batch."""
        if batch not in self._priced:
            total = self._step(StepKind.ENCODE, batch) + self._step(StepKind.VAE_DECODE, batch)
            total = total + self._step(StepKind.DENOISE, batch) * self.work.steps
            self._priced[batch] = total * (1 / batch)
        return self._priced[batch]

    def least(self, demand: Callable[[ResourceDemand], float]) -> float:
        """The smallest of `demand` per image over batch sizes: no scheduler does better."""
        return min(demand(self.image(batch)) for batch in _IMAGE_BATCHES)

    def _step(self, kind: StepKind, batch: int) -> ResourceDemand:
        work, model = self.work, self.model
        shape = ImageShape(
            batch=batch, width=work.width, height=work.height, is_guided=work.is_guided
        )
        total = _host(model.software.step_us * 1e-6)
        for component, walked in passes(model.entry, model.dtype, kind, shape):
            kernels = pass_kernels(model.software, is_modulated=is_modulated(component))
            found = demand_of(walked, model.device, kernels)
            idle_s = max(issue_seconds(walked, model.software) - found.alone_s, 0.0)
            total = total + found + _host(idle_s)
        return total


def _host(seconds: float) -> ResourceDemand:
    return ResourceDemand(alone_s=seconds, arithmetic_s=0.0, memory_s=0.0, weights_s=0.0)


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"a class's share of the requests is {share}; it must be from 0 to 1")
