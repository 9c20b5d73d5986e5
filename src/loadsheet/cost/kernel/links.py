"""Constants of the ways devices of a node talk; `calibration/links.toml` says whence."""

import tomllib
from dataclasses import dataclass, fields
from functools import cache

from loadsheet.cost.kernel.silicon import FOLDER
from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConstants:
    """Shares are of one direction of the datasheet link. `host_share` is what all devices
    together get through the host (0: every device has its own path)."""

    one_shot_us: float
    peer_us: float  # more per peer beyond the first
    phase_us: float  # the second synchronisation of two-shot
    ring_us: float
    ring_peer_us: float
    one_shot_share: float
    two_shot_share: float
    ring_share: float
    pair_share: float  # of the ring's share between two devices
    host_share: float
    multicast_from: float  # devices from which the switch reduces itself
    multicast_gain: float


@cache
def links_named(name: str) -> LinkConstants:
    with (FOLDER / "links.toml").open("rb") as handle:
        tables = tomllib.load(handle)
    table = tables.get(name)
    known = {field.name for field in fields(LinkConstants)}
    if not isinstance(table, dict) or set(table) != known:
        raise ConfigError(f"links.toml: [{name}] is missing or incomplete")
    return LinkConstants(**{key: float(value) for key, value in table.items()})
