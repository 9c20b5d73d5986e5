"""`predict` cases of single kernels: gemm, attention, allreduce."""

from dataclasses import dataclass, field

from loadsheet.cost.case import Answer, Case, check_fields, text, whole
from loadsheet.cost.kernel.allreduce import allreduce_seconds
from loadsheet.cost.kernel.attention import AttentionPhase, FusedShape, attention_seconds
from loadsheet.cost.kernel.constants import is_measured
from loadsheet.cost.kernel.gemm import GemmShape, gemm_seconds
from loadsheet.cost.kernel.measured_range import is_covered
from loadsheet.cost.kernel.rated_time import rated_attention_seconds, rated_product_seconds
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device


@dataclass(slots=True)
class GemmAnswerer:
    devices: DeviceCatalog = field(default_factory=DeviceCatalog)

    def __call__(self, case: Case) -> Answer:
        check_fields(case, {"device", "dtype", "m", "n", "k"})
        device = self.devices.find(text(case, "device"))
        shape = GemmShape(
            m=whole(case, "m"),
            n=whole(case, "n"),
            k=whole(case, "k"),
            dtype=text(case, "dtype"),
            is_warm=True,
        )
        rates = device.rates
        seconds = rated_product_seconds(shape, rates) if rates else gemm_seconds(shape, device)
        sizes = {"m": shape.m, "n": shape.n, "k": shape.k}
        is_near = rates is not None or is_covered("gemm", sizes, shape.dtype)
        return flagged({"latency_ms": seconds * 1e3}, device, is_near=is_near)


@dataclass(slots=True)
class AttentionAnswerer:
    devices: DeviceCatalog = field(default_factory=DeviceCatalog)

    def __call__(self, case: Case) -> Answer:
        sizes = {"batch", "tokens", "context", "heads", "kv_heads", "head_dim"}
        check_fields(case, {"device", "dtype", "kv_dtype", "phase"} | sizes)
        device = self.devices.find(text(case, "device"))
        phase = text(case, "phase")
        if phase not in list(AttentionPhase):
            raise ConfigError(f"phase {phase!r} is unknown; choose prefill, decode, bidirectional")
        heads = whole(case, "heads")
        shape = FusedShape(
            phase=AttentionPhase(phase),
            batch=whole(case, "batch", 1),
            tokens=whole(case, "tokens"),
            context=whole(case, "context", whole(case, "tokens")),
            heads=heads,
            kv_heads=whole(case, "kv_heads", heads),
            head_dim=whole(case, "head_dim"),
            kv_dtype=text(case, "kv_dtype" if case.get("kv_dtype") else "dtype"),
            is_looped=True,
        )
        rates = device.rates
        seconds = (
            rated_attention_seconds(shape, rates) if rates else attention_seconds(shape, device)
        )
        is_near = rates is not None or is_covered(phase, _sizes(shape), shape.kv_dtype)
        return flagged({"latency_ms": seconds * 1e3}, device, is_near=is_near)


@dataclass(slots=True)
class AllreduceAnswerer:
    devices: DeviceCatalog = field(default_factory=DeviceCatalog)

    def __call__(self, case: Case) -> Answer:
        check_fields(case, {"device", "num_devices", "bytes"})
        device = self.devices.find(text(case, "device"))
        sizes = {"num_devices": whole(case, "num_devices"), "bytes": whole(case, "bytes")}
        seconds = allreduce_seconds(sizes["bytes"], sizes["num_devices"], device)
        is_near = is_covered("allreduce", sizes, "bf16")
        return flagged({"latency_ms": seconds * 1e3}, device, is_near=is_near)


def _sizes(shape: FusedShape) -> dict[str, int]:
    return {
        "batch": shape.batch,
        "tokens": shape.tokens,
        "context": shape.context,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
    }


def flagged(answer: Answer, device: Device, *, is_near: bool = True) -> Answer:
    """Says so when no kernel of the chip's family, or none of such sizes, was ever measured."""
    if is_near and is_measured(device):
        return answer
    return {**answer, "extrapolated": True}
