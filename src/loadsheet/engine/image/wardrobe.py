"""Which adapters a model has, and which accepted requests count on them.

An adapter that a request was accepted with stays until that request has left: unloading refuses
with the number of images in the way, it never pulls weights from under a running picture.
"""

import threading
from pathlib import Path

from loadsheet.engine.image.lora import Adapters
from loadsheet.errors import BusyError, ConfigError


class Wardrobe:
    """`take` and `give_back` come from the loop's thread, `load` and `unload` from any."""

    def __init__(self, adapters: Adapters) -> None:
        self._adapters = adapters
        self._lock = threading.Lock()
        self._taken: dict[str, str] = {}  # request id → adapter

    def load(self, name: str, folder: Path) -> int:
        """The adapter's bytes."""
        return self._adapters.load(name, folder)

    def take(self, name: str, request_id: str) -> None:
        with self._lock:
            if name not in self._adapters.num_bytes:
                raise ConfigError(f"adapter {name!r} is not loaded (any more); load it first")
            self._taken[request_id] = name

    def give_back(self, request_id: str) -> None:
        """Unknown ids are fine: most requests wear nothing."""
        with self._lock:
            self._taken.pop(request_id, None)

    def unload(self, name: str) -> None:
        with self._lock:
            num_users = sum(taken == name for taken in self._taken.values())
            if num_users:
                raise BusyError(
                    f"{num_users} accepted images wear adapter {name!r}; try again when they are "
                    "done, or cancel them"
                )
            self._adapters.unload(name)
