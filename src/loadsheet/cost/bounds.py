"""Upper bounds on the goodput of a mix on a device: what no scheduler can exceed.

With p_t, p_g the shares of chat and image requests and λ requests/s in all, Little's law puts
B = λ·p_t·o·TPOT sequences on the device, which decode once per TPOT (or more often, if that is
cheaper). Every bound is the largest λ at which no more than all of the device's time is asked for:

    serial, unfused   τ(B)/TPOT + λ(p_t·t_prefill + p_g·W) ≤ 1       one step after another
    serial, fused     max(memory, arithmetic) of the text + λ·p_g·W ≤ 1
    overlap           each resource: text and images together ≤ 1
    memory            the sequences that must be resident fit beside the weights

Each allows what the one before it allows, so they are ordered. A class that misses its promise
even alone on an idle device has no goodput, and neither has the mix.
"""

from collections.abc import Callable
from dataclasses import dataclass

from loadsheet.cost.mixed_load import ImageLoad, TextLoad
from loadsheet.cost.resource_demand import ResourceDemand
from loadsheet.errors import ConfigError

_MOST_RPS = 1e9
_ROUNDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Requests per second of the whole mix. `broken` names promises that no load can keep; the
    bounds are then zero."""

    serial_unfused_rps: float
    serial_fused_rps: float
    overlap_rps: float
    memory_rps: float
    broken: tuple[str, ...] = ()

    @property
    def goodput_rps(self) -> float:
        """What the tightest bound on any scheduler of one device leaves."""
        return min(self.overlap_rps, self.memory_rps)

    @property
    def serial_rps(self) -> float:
        """The same for schedulers that run one step at a time."""
        return min(self.serial_fused_rps, self.memory_rps)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedLoad:
    """Both classes on one device. `free_sequences` is how many sequences of full length the cache
    can hold beside everything else; below zero the models do not fit."""

    text: TextLoad | None
    image: ImageLoad | None
    free_sequences: float

    def __post_init__(self) -> None:
        shares = [load.work.share for load in (self.text, self.image) if load is not None]
        if not shares or abs(sum(shares) - 1) > 1e-9:
            raise ConfigError(f"the shares of the classes are {shares}; they must add up to 1")


def bounds(load: MixedLoad) -> Bounds:
    broken = tuple(_broken(load))
    if broken:
        return Bounds(
            serial_unfused_rps=0.0,
            serial_fused_rps=0.0,
            overlap_rps=0.0,
            memory_rps=0.0,
            broken=broken,
        )
    return Bounds(
        serial_unfused_rps=_largest(lambda rps: _serial_unfused(load, rps)),
        serial_fused_rps=_largest(lambda rps: _serial_fused(load, rps)),
        overlap_rps=_largest(lambda rps: _overlap(load, rps)),
        memory_rps=_memory_rps(load),
    )


def _serial_unfused(load: MixedLoad, rps: float) -> float:
    """Share of the device's time."""
    used = rps * _image_s(load)
    if load.text is not None:
        work = load.text.work
        used += _decoding(load.text, rps, lambda demand: demand.alone_s)
        used += rps * work.share * load.text.prefill.alone_s
    return used


def _serial_fused(load: MixedLoad, rps: float) -> float:
    arithmetic, memory = _text_resources(load, rps)
    return max(arithmetic, memory) + rps * _image_s(load)


def _overlap(load: MixedLoad, rps: float) -> float:
    arithmetic, memory = _text_resources(load, rps)
    if load.image is not None:
        images = rps * load.image.work.share
        arithmetic += images * load.image.least(lambda demand: demand.arithmetic_s)
        memory += images * load.image.least(lambda demand: demand.memory_s)
    return max(arithmetic, memory)


def _text_resources(load: MixedLoad, rps: float) -> tuple[float, float]:
    """Shares of arithmetic and memory that decodes and prompts take; prompts read no weights,
    they ride on the decodes' pass."""
    if load.text is None:
        return 0.0, 0.0
    work = load.text.work
    prefill, prompts = load.text.prefill, rps * work.share
    arithmetic = _decoding(load.text, rps, lambda demand: demand.arithmetic_s)
    memory = _decoding(load.text, rps, lambda demand: demand.memory_s)
    riding_s = prefill.memory_s - prefill.weights_s
    return arithmetic + prompts * prefill.arithmetic_s, memory + prompts * riding_s


def _image_s(load: MixedLoad) -> float:
    """Device seconds of the mix's images per request of any class, at their best batch."""
    if load.image is None:
        return 0.0
    return load.image.work.share * load.image.least(lambda demand: demand.alone_s)


def _decoding(text: TextLoad, rps: float, part: Callable[[ResourceDemand], float]) -> float:
    """Share of the time that decoding takes. Decoding more often than promised, with fewer
    sequences at once, is allowed and pays where a smaller batch has a better kernel."""
    work = text.work
    interval_s, shares = work.slo.tpot_s, []
    while True:
        batch = rps * work.share * work.output_tokens * interval_s  # Little's law
        shares.append(part(text.decode(batch)) / interval_s)
        if batch <= 1:
            return min(shares)
        interval_s /= 2


def _memory_rps(load: MixedLoad) -> float:
    """Sequences leave at best as fast as one alone decodes."""
    if load.text is None or not load.text.work.share:
        return float("inf")
    text = load.text
    resident_s = text.work.output_tokens * text.decode(1).alone_s
    return load.free_sequences / (text.work.share * resident_s)


def _broken(load: MixedLoad) -> list[str]:
    found = []
    if load.free_sequences < (1 if load.text is not None and load.text.work.share else 0):
        found.append("the models and one sequence do not fit the device's memory")
    if load.text is not None and load.text.work.share:
        slo = load.text.work.slo
        found += _late("first token", load.text.prefill.alone_s, slo.ttft_s)
        found += _late("a token", load.text.decode(1).alone_s, slo.tpot_s)
    if load.image is not None and load.image.work.share:
        slo_s = load.image.work.slo.deadline_s
        found += _late("an image", load.image.image(1).alone_s, slo_s)
    return found


def _late(what: str, seconds: float, limit_s: float) -> list[str]:
    if seconds <= limit_s:
        return []
    return [f"{what} takes {seconds:.3g} s on the idle device, promised in {limit_s:.3g} s"]


def _largest(used: Callable[[float], float]) -> float:
    """The rate at which a growing `used` reaches 1, by bisection."""
    high = 1e-6
    while used(high) < 1:
        high *= 2
        if high > _MOST_RPS:
            return float("inf")
    low = 0.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if used(middle) < 1 else (low, middle)
        if high - low <= 1e-12 * high:
            break
    return low
