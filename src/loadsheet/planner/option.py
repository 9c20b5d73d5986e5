"""A kind of replica: models together on a device, what they weigh, and how full it may run."""

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from loadsheet.cost.ledger import LedgerLine, Owner
from loadsheet.hardware.device import Device
from loadsheet.planner.fit import ClassFit, ModelFit, usable_bytes
from loadsheet.planner.queueing import largest_share, wait_s
from loadsheet.units import format_bytes, format_seconds
from loadsheet.workload.request import RequestKind
from loadsheet.workload.slo import TextSLO

_FULLEST = 0.98
_SPLITS = (0.0, 0.5, 1.0)  # promises are tightest at an end, or between
_MAX_TOGETHER = 3
_FEW_MODELS = 6  # of more only pairs are tried
_EXACT_SIZES, _GROWTH = 12, 1.15  # sizes of pools at which the closed form is evaluated


@dataclass(slots=True)
class Option:
    """`fits` of every resident model. `correction` is what simulations taught: a factor on the
    utilisation that the closed form allows."""

    fits: tuple[ModelFit, ...]
    correction: float = 1.0
    rejection: str = ""
    tax: float = field(init=False)
    classes: tuple[ClassFit, ...] = field(init=False)
    _decode_part: float = field(init=False)
    _shares: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tax = sum(fit.tax for fit in self.fits)
        self.classes = tuple(one for fit in self.fits for one in fit.classes)
        self._decode_part = _decode_part(self.classes)

    @property
    def device(self) -> Device:
        return self.fits[0].device

    @property
    def tp(self) -> int:
        return self.fits[0].tp

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(fit.model.name for fit in self.fits)

    @property
    def name(self) -> str:
        parts = "+".join(f"{fit.model.name}:{fit.model.dtype}" for fit in self.fits)
        return f"{self.device.name} x{self.tp}: {parts}"

    @property
    def is_shared(self) -> bool:
        return len(self.fits) > 1

    @property
    def lines(self) -> tuple[LedgerLine, ...]:
        """Of one device, without KV blocks and latents. One process, one step at a time: the
        runtime and the widest moment count once."""
        fixed = [line for fit in self.fits for line in fit.fixed if line.owner is not Owner.RUNTIME]
        runtime = [line for fit in self.fits for line in fit.fixed if line.owner is Owner.RUNTIME]
        widest = max(self.fits, key=lambda fit: fit.transient_bytes)
        return (*fixed, *runtime[:1], *widest.transient)

    @property
    def used_bytes(self) -> int:
        return sum(line.num_bytes for line in self.lines)

    @property
    def free_bytes(self) -> int:
        """For KV blocks and latents, on each device."""
        return usable_bytes(self.device) - self.used_bytes

    def share(self, num_replicas: int) -> float:
        """The fullest that each of so many replicas may run, decode tax included. Beyond a dozen
        that of the next smaller size on a grid."""
        size = _grid_size(num_replicas)
        if size not in self._shares:
            self._shares[size] = largest_share(lambda used: self._keeps(size, used), _FULLEST)
        return min(_FULLEST, self._shares[size] * self.correction)

    def max_rps(self, one: ClassFit, num_replicas: int = 1) -> float:
        """Of one class by itself, on each replica."""
        seconds = max(0.0, self.share(num_replicas) - self.tax)
        held = one.held_bytes * one.held_s
        by_memory = self.free_bytes / held if held else math.inf
        return min(seconds / one.seconds, by_memory)

    def _keeps(self, servers: int, used: float) -> bool:
        """Whether every promise holds at `used` for any split of the load between the kinds."""
        if used < self.tax:
            return True
        kinds = {one.demand.kind for one in self.classes}
        splits = _SPLITS if len(kinds) > 1 else (float(RequestKind.TEXT in kinds),)
        return all(
            self.latency_s(one, servers, used, split) <= _limit_s(one)
            for one in self.classes
            for split in splits
        )

    def latency_s(
        self, one: ClassFit, servers: int, used: float, split: float, percentile: float = 0.0
    ) -> float:
        """Seconds to the first token or the finished image at `percentile` (0: the promised one),
        with `split` of the load beyond the tax going to text."""
        percentile = percentile or one.demand.slo.percentile
        free = max(used - self.tax, 0.0)
        text, others = split * free, (1 - split) * free
        variability = (one.demand.arrival_cv**2 + one.service_cv**2) / 2
        if one.demand.kind is RequestKind.TEXT:
            decoding = text * self._decode_part
            left = 1 - self.tax - decoding
            queue, blocked_s = text - decoding, self.blocked_s(one)
        else:
            left = 1 - self.tax - text
            queue, blocked_s = others, 0.0
        if left <= 0 or queue >= left:
            return math.inf
        wait = wait_s(percentile, servers, queue / left, one.service_s / left, variability)
        return blocked_s + one.alone_s / left + wait

    def blocked_s(self, one: ClassFit) -> float:
        """The longest step of another model, which nobody interrupts."""
        others = [fit.step_s for fit in self.fits if fit.model.name != one.demand.model]
        return max(others, default=0.0)


def _decode_part(classes: Sequence[ClassFit]) -> float:
    """Of the seconds that replies take beyond the tax, those that are not prompts."""
    texts = [one for one in classes if one.demand.kind is RequestKind.TEXT]
    whole = sum(one.demand.planned_rps * one.seconds for one in texts)
    prompts = sum(one.demand.planned_rps * one.prompt_s for one in texts)
    return 1 - prompts / whole if whole else 0.0


def _grid_size(number: int) -> int:
    if number <= _EXACT_SIZES:
        return number
    power = math.floor(math.log(number / _EXACT_SIZES) / math.log(_GROWTH))
    return math.floor(_EXACT_SIZES * _GROWTH**power)


def _limit_s(one: ClassFit) -> float:
    slo = one.demand.slo
    return slo.ttft_s if isinstance(slo, TextSLO) else slo.deadline_s


def options_of(fits: Sequence[ModelFit], private: Set[str] = frozenset()) -> list[Option]:
    """All sets of models that one kind of replica can hold, each alone first; those that cannot
    work carry their rejection. Sharing is for replicas of one device, and not for `private`
    models; of many models only pairs are tried, of few also threes whose pairs work."""
    alone = [check(Option(fits=(fit,))) for fit in fits]
    single = [
        option.fits[0]
        for option in alone
        if not option.rejection and option.tp == 1 and option.models[0] not in private
    ]
    sets: list[tuple[ModelFit, ...]] = [(fit,) for fit in single]
    shared: list[Option] = []
    models = {fit.model.name for fit in fits}
    most = _MAX_TOGETHER if len(models) <= _FEW_MODELS else 2
    while sets and len(sets[0]) < most:
        tried = [
            check(Option(fits=(*chosen, fit)))
            for chosen in sets
            for fit in single[single.index(chosen[-1]) + 1 :]
            if fit.model.name not in {one.model.name for one in chosen}
        ]
        shared += tried
        sets = [option.fits for option in tried if not option.rejection]
    return alone + shared


def check(option: Option) -> Option:
    option.rejection = _rejection(option)
    return option


def _rejection(option: Option) -> str:
    for fit in option.fits:
        if fit.rejection:
            return fit.rejection
    least = sum(max(one.held_bytes for one in fit.classes) for fit in option.fits)
    if option.free_bytes < least:
        return f"out of memory by {format_bytes(least - option.free_bytes)} per device"
    if option.tax >= _FULLEST:
        return f"decoding of {len(option.fits)} models alone takes {option.tax:.0%} of the time"
    for fit in option.fits:
        for other in option.fits:
            if other is not fit and other.step_s > fit.gap_s:
                return (
                    f"a step of {other.model.name} takes {format_seconds(other.step_s)}, tokens of "
                    f"{fit.model.name} may wait {format_seconds(fit.gap_s)}"
                )
    return ""
