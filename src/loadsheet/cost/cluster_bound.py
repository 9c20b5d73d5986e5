"""The linear-programming bound of a mix on unlike devices.

Every device type d may give a share x of its time to chat and the rest to images:

    maximise λ  subject to  Σ_d x_d·n_d·μ_t,d ≥ p_t·λ  and  Σ_d (1 - x_d)·n_d·μ_g,d ≥ p_g·λ

With two classes the program is solved by sorting: chat takes the devices on which it is relatively
fastest first (comparative advantage), one device is shared. Any placement of whole models is worse,
and the gap is the price of indivisible devices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRates:
    """`count` devices that would each serve so many chat requests, or images, per second alone."""

    count: int
    text_rps: float
    image_rps: float

    def __post_init__(self) -> None:
        if self.count < 1 or min(self.text_rps, self.image_rps) < 0:
            raise ConfigError(
                f"{self.count} devices at {self.text_rps} and {self.image_rps} requests/s: "
                "counts start at 1, rates at 0"
            )


def cluster_bound(devices: Sequence[DeviceRates], text_share: float) -> float:
    """Requests per second of the mix over all `devices`."""
    if not 0 <= text_share <= 1:
        raise ConfigError(f"the text share is {text_share}; it must be from 0 to 1")
    if not devices:
        raise ConfigError("a cluster needs at least one device")
    # most chat per image first; devices that draw nothing before all others
    ranked = sorted(devices, key=_advantage, reverse=True)
    text_rps = 0.0
    image_rps = sum(one.count * one.image_rps for one in ranked)
    best = _mixed(text_rps, image_rps, text_share)
    for one in ranked:
        text, image = one.count * one.text_rps, one.count * one.image_rps
        best = max(best, _meeting((text_rps, image_rps), (text, image), text_share))
        text_rps, image_rps = text_rps + text, image_rps - image
        best = max(best, _mixed(text_rps, max(image_rps, 0.0), text_share))
    return best


def _advantage(one: DeviceRates) -> float:
    return one.text_rps / one.image_rps if one.image_rps else float("inf")


def _mixed(text_rps: float, image_rps: float, text_share: float) -> float:
    """The mix that so much of either class allows."""
    limits = [
        rps / share
        for rps, share in ((text_rps, text_share), (image_rps, 1 - text_share))
        if share > 0
    ]
    return min(limits)


def _meeting(held: tuple[float, float], device: tuple[float, float], text_share: float) -> float:
    """Sharing one device so that both classes limit the mix equally; 0 where no share does."""
    (text_rps, image_rps), (text, image) = held, device
    # (text_rps + x·text)·(1 - p) = (image_rps - x·image)·p
    slope = text * (1 - text_share) + image * text_share
    if slope == 0:
        return 0.0
    x = (image_rps * text_share - text_rps * (1 - text_share)) / slope
    if not 0 <= x <= 1:
        return 0.0
    return _mixed(text_rps + x * text, max(image_rps - x * image, 0.0), text_share)
