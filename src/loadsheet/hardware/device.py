"""One accelerator, as its datasheet describes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadsheet.errors import ConfigError
from loadsheet.hardware.operator_rates import OperatorRates

# what a device without the format falls back to: the next wider one it multiplies natively
_WIDER = {
    "nvfp4": "fp4",
    "mxfp4": "fp4",
    "fp4": "fp8",
    "fp8": "bf16",
    "int8": "fp8",
    "fp16": "bf16",
    "bf16": "fp16",
    "tf32": "fp32",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per device-hour, a range over offers; `note` says whose and when."""

    low_usd_per_hour: float
    high_usd_per_hour: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Rates are dense datasheet peaks in FLOP/s by dtype; `measured_flops_per_s` the best matmul
    anybody published. `from_memory` marks figures nobody has checked against a page."""

    name: str
    vendor: str
    memory_bytes: int
    memory_bytes_per_s: float
    peak_flops_per_s: Mapping[str, float]
    measured_flops_per_s: Mapping[str, float]
    link_bytes_per_s: float  # to other devices of the node, both directions together
    host_bytes_per_s: float  # to the host, one direction
    power_w: float
    price: Price | None
    source: str
    date: str
    from_memory: bool
    rates: OperatorRates | None = None  # of a machine that was calibrated itself

    def flops_per_s(self, dtype: str) -> float:
        """The peak for matrix products in `dtype`, or in the next wider format that exists."""
        return self.peak_flops_per_s[self.native(dtype)]

    def native(self, dtype: str) -> str:
        """The format in which `dtype` is multiplied here."""
        tried: list[str] = []
        current: str | None = dtype
        while current is not None and current not in tried:
            if current in self.peak_flops_per_s:
                return current
            tried.append(current)
            current = _WIDER.get(current)
        raise ConfigError(
            f"{self.name} has no peak for {dtype}, only for {', '.join(self.peak_flops_per_s)}"
        )

    def ridge(self, dtype: str) -> float:
        """FLOPs per byte at which memory and arithmetic take equally long."""
        return self.flops_per_s(dtype) / self.memory_bytes_per_s
