"""Time to move bytes that may or may not sit in the chip's cache."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRates:
    """Bytes per second from memory and from the last-level cache."""

    memory: float
    cache: float
    cache_bytes: float

    def seconds(self, num_bytes: float, footprint: float) -> float:
        """`footprint` is what competes for the cache between two uses. Residency fades out
        around the usable size (80 % of the cache) instead of ending at a byte."""
        fits = (0.8 * self.cache_bytes - footprint) / (0.4 * self.cache_bytes) + 0.5
        hot = min(max(fits, 0.0), 1.0)
        return num_bytes * (hot / self.cache + (1 - hot) / self.memory)
