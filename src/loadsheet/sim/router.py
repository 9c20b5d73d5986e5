"""Which device gets a request."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable
from difflib import get_close_matches
from random import Random
from typing import Protocol
from zlib import crc32

from loadsheet.errors import ConfigError
from loadsheet.sim.device import SimDevice
from loadsheet.sim.job import Job


class Router(Protocol):
    """Asked once per arrival; told when a device's work changed, appeared or went away."""

    def add(self, device: SimDevice) -> None: ...

    def remove(self, device: SimDevice) -> None: ...

    def changed(self, device: SimDevice) -> None: ...

    def choose(self, job: Job) -> SimDevice | None:
        """A device that serves the request's model; None when there is none."""
        ...


class _DevicesByModel:
    """Who serves which model, in the order they came."""

    def __init__(self) -> None:
        self._devices: dict[str, list[SimDevice]] = defaultdict(list)

    def add(self, device: SimDevice) -> None:
        for model in device.models:
            self._devices[model].append(device)

    def remove(self, device: SimDevice) -> None:
        for model in device.models:
            self._devices[model].remove(device)


class RoundRobinRouter(_DevicesByModel):
    """Each model's devices in turn."""

    def __init__(self) -> None:
        super().__init__()
        self._turns: dict[str, int] = defaultdict(int)

    def changed(self, device: SimDevice) -> None:
        """Blind to work."""

    def choose(self, job: Job) -> SimDevice | None:
        model = job.request.model
        devices = self._devices[model]
        if not devices:
            return None
        turn = self._turns[model] % len(devices)
        self._turns[model] = turn + 1
        return devices[turn]


class LeastWorkRouter:
    """The device with the least predicted work; of equals, the first. O(log devices)."""

    def __init__(self) -> None:
        self._sorted: dict[str, list[tuple[float, int, SimDevice]]] = defaultdict(list)
        self._keys: dict[int, tuple[float, int]] = {}  # by the device's order
        self._orders: dict[str, int] = {}

    def add(self, device: SimDevice) -> None:
        order = self._orders.setdefault(device.name, len(self._orders))
        self._keys[order] = (device.work_s, order)
        for model in device.models:
            insort(self._sorted[model], (device.work_s, order, device), key=_key)

    def remove(self, device: SimDevice) -> None:
        self._take_out(device, self._keys.pop(self._orders[device.name]))

    def changed(self, device: SimDevice) -> None:
        key = self._keys.get(self._orders.get(device.name, -1))
        if key is None or key[0] == device.work_s:
            return
        self._take_out(device, key)
        self.add(device)

    def choose(self, job: Job) -> SimDevice | None:
        devices = self._sorted[job.request.model]
        return devices[0][2] if devices else None

    def _take_out(self, device: SimDevice, key: tuple[float, int]) -> None:
        for model in device.models:
            devices = self._sorted[model]
            del devices[bisect_left(devices, key, key=_key)]


class PowerOfTwoRouter(_DevicesByModel):
    """Of two random devices the one with less work (Mitzenmacher, IEEE TPDS 2001)."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        super().__init__()

    def changed(self, device: SimDevice) -> None:
        """Work is read when it is needed."""

    def choose(self, job: Job) -> SimDevice | None:
        devices = self._devices[job.request.model]
        if not devices:
            return None
        pair = self._random.choice(devices), self._random.choice(devices)
        return min(pair, key=lambda device: device.work_s)


class SessionRouter(_DevicesByModel):
    """A conversation stays where it was, where its prefix may be cached, unless that device has
    more than `BOUND` times the mean work: then the next one in the session's own order
    (rendezvous hashing with bounded loads; Mirrokni, Thorup and Zadimoghaddam, SODA 2018).

    Requests without a session go where there is least work. O(devices).
    """

    BOUND = 1.25

    def changed(self, device: SimDevice) -> None:
        """Work is read when it is needed."""

    def choose(self, job: Job) -> SimDevice | None:
        devices = self._devices[job.request.model]
        if not devices:
            return None
        least = min(devices, key=lambda device: device.work_s)
        if not job.session:
            return least
        most_s = self.BOUND * sum(device.work_s for device in devices) / len(devices)
        allowed = [device for device in devices if device.work_s <= most_s] or [least]
        return max(allowed, key=lambda device: crc32(f"{job.session} {device.name}".encode()))


ROUTERS: dict[str, Callable[[], Router]] = {
    "least-work": LeastWorkRouter,
    "power-of-two": PowerOfTwoRouter,
    "round-robin": RoundRobinRouter,
    "session": SessionRouter,
}


def make_router(name: str) -> Router:
    if name not in ROUTERS:
        near = get_close_matches(name, ROUTERS, n=1, cutoff=0.0)
        raise ConfigError(f"no router {name!r}; the nearest is {near[0]!r} of {sorted(ROUTERS)}")
    return ROUTERS[name]()


def _key(entry: tuple[float, int, SimDevice]) -> tuple[float, int]:
    return entry[:2]
