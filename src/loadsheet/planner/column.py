"""An option as a column of the planner's program: plain numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Column:
    """One option. `seconds` and `held` (byte-seconds) per request by class; `free` bytes of one
    device; `share(n)` how full each of n replicas may run; `cost` of one replica."""

    name: str
    device: str
    num_devices: int
    cost: float
    tax: float
    seconds: Mapping[str, float]
    held: Mapping[str, float]
    free: float
    share: Callable[[int], float]

    def room(self, num_replicas: int, spare: int) -> float:
        """Replica-seconds per second for requests."""
        working = num_replicas - spare
        return max(0.0, working * (self.share(working) - self.tax)) if working > 0 else 0.0
