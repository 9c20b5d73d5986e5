"""Low-rank adapters over one network whose own weights never change.

    y = W x + s B (A x)        the second term only while the adapter is worn

Unmerged on purpose: the base stays bit for bit what it was, an adapter costs r (in + out) numbers
instead of a copy of the network, and the next step may wear another one at no cost. Merging would
save two small products per module and step, but going back by subtraction loses bits in bfloat16.
Steps are batched by adapter, so that one product serves the whole batch.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from loadsheet.engine.image.lora_file import LowRank, read_lora
from loadsheet.errors import ConfigError, SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A and B in the network's dtype and place; `b` includes the scale."""

    a: Tensor
    b: Tensor


_Pairs = Mapping[str, _Pair]


class _Worn(threading.local):
    """What this thread wears: another lane that runs the same network meanwhile wears nothing."""

    def __init__(self) -> None:
        self.pairs: _Pairs = {}


class Adapters:
    """The adapters that one network can wear. Every method may be called from any thread.

    A lock lets one step at a time wear something; loading waits for the running step.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._adapters: dict[str, _Pairs] = {}
        self._num_bytes: dict[str, int] = {}
        self._hooked: set[str] = set()
        self._worn = _Worn()
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> Mapping[str, int]:
        """Bytes of each adapter as it lies in memory."""
        return dict(self._num_bytes)

    def load(self, name: str, folder: Path) -> int:
        """Read an adapter; its bytes in memory. SpecError when it does not fit this network."""
        return self.hold(name, read_lora(folder).layers, folder)

    def hold(self, name: str, layers: Mapping[str, LowRank], folder: Path) -> int:
        """Take an adapter that was read from `folder`, in whatever layout."""
        if name in self._adapters:
            raise ConfigError(f"adapter {name!r} is loaded already; unload it first")
        modules = dict(self._network.named_modules())
        pairs = {
            target: _placed(folder, target, modules.get(target), layer)
            for target, layer in layers.items()
        }
        num_bytes = sum(_bytes(pair.a) + _bytes(pair.b) for pair in pairs.values())
        with self._lock:
            for target in pairs.keys() - self._hooked:
                modules[target].register_forward_hook(_Addition(self, target))
                self._hooked.add(target)
            self._adapters[name] = pairs
            self._num_bytes[name] = num_bytes
        return num_bytes

    def unload(self, name: str) -> None:
        """Forget an adapter. The caller knows that no request needs it any more."""
        with self._lock:
            self._find(name)
            del self._adapters[name], self._num_bytes[name]

    @contextmanager
    def wearing(self, name: str | None) -> Iterator[None]:
        """Inside, the network computes with this adapter, or as itself for None."""
        with self._lock:
            self._worn.pairs = {} if name is None else self._find(name)
            try:
                yield
            finally:
                self._worn.pairs = {}

    def _find(self, name: str) -> _Pairs:
        if name not in self._adapters:
            loaded = ", ".join(self._adapters) or "none"
            raise ConfigError(f"adapter {name!r} is not loaded; loaded: {loaded}")
        return self._adapters[name]

    def worn_pair(self, target: str) -> _Pair | None:
        """What the running step adds at this module."""
        return self._worn.pairs.get(target)


class _Addition:
    """A forward hook: the module's output plus that of the pair worn here."""

    __slots__ = ("_adapters", "_target")

    def __init__(self, adapters: Adapters, target: str) -> None:
        self._adapters = adapters
        self._target = target

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> Tensor | None:
        pair = self._adapters.worn_pair(self._target)
        if pair is None:
            return None
        if isinstance(module, nn.Conv2d):
            inner = functional.conv2d(
                inputs[0], pair.a, None, module.stride, module.padding, module.dilation
            )
            return output + functional.conv2d(inner, pair.b)
        return output + functional.linear(functional.linear(inputs[0], pair.a), pair.b)


def _placed(folder: Path, target: str, module: nn.Module | None, layer: LowRank) -> _Pair:
    """The pair next to the module's own weight; SpecError unless B A has that weight's shape."""
    where = f"{folder}: the adapter changes {target}"
    if not isinstance(module, nn.Linear | nn.Conv2d):
        kind = "does not have" if module is None else f"has as a {type(module).__name__}"
        raise SpecError(f"{where}, which this network {kind}; it was made for another network")
    a, b = layer.a, layer.b
    if isinstance(module, nn.Linear) and a.ndim == 4:  # 1×1 convolutions written for linear maps
        a, b = a.flatten(1), b.flatten(1)
    expected = module.weight.shape
    fits = b.shape[0] == expected[0] and a.shape[1:] == expected[1:] and a.ndim == b.ndim
    if not fits or (isinstance(module, nn.Conv2d) and module.groups != 1):
        raise SpecError(
            f"{where} by {tuple(b.shape)} x {tuple(a.shape)}, which is {tuple(expected)} here; "
            "it was made for another network"
        )
    device, dtype = module.weight.device, module.weight.dtype
    return _Pair(a=a.to(device, dtype), b=(layer.scale * b.float()).to(device, dtype))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
