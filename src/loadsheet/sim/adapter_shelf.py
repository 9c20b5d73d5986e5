"""Adapters that a replica has loaded: the least recently worn makes room."""

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class AdapterShelf:
    """`load_s` seconds to load one, at most `max_adapters` of them."""

    load_s: float
    max_adapters: int
    num_loads: int = 0
    _ready_s: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def wait_s(self, adapter: str, now_s: float) -> float:
        """Until it is there; asking for one that is not begins to load it."""
        if adapter not in self._ready_s:
            self.num_loads += 1
            self._ready_s[adapter] = now_s + self.load_s
            if len(self._ready_s) > self.max_adapters:
                self._ready_s.popitem(last=False)
        self._ready_s.move_to_end(adapter)
        return max(0.0, self._ready_s[adapter] - now_s)

    def clear(self) -> None:
        self._ready_s.clear()
