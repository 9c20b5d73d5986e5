"""The `predict` cases of language models under load."""

from dataclasses import dataclass, field

from loadsheet.cost.case import Answer, Case, check_fields, text, whole
from loadsheet.cost.kernel_case import flagged
from loadsheet.cost.serving.offline_text import TextJob, TextRate, offline_text
from loadsheet.cost.serving.software import text_engine
from loadsheet.cost.serving.text_step import TextModel
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.pipeline import Component
from loadsheet.specs.precision import BITS, of

_NARROW_BITS = 8.5  # engines keep an 8-bit cache beside weights of 8 bits and less
_DEGREES = (1, 2, 4, 8)


@dataclass(slots=True)
class OfflineTextAnswerer:
    catalog: Catalog = field(default_factory=Catalog)
    devices: DeviceCatalog = field(default_factory=DeviceCatalog)

    def __call__(self, case: Case) -> Answer:
        known = {"num_devices", "tp", "pp", "input_tokens", "output_tokens", "batch"}
        check_fields(case, {"model", "device", "dtype"} | known)
        device = self.devices.find(text(case, "device"))
        component = self.catalog.component(text(case, "model"), "decoder")
        rate = self._best(case, component, device)
        answer: Answer = {"output_tokens_per_s": rate.output_tokens_per_s, "batch": rate.batch}
        return flagged(answer, device)

    def _best(self, case: Case, component: Component, device: Device) -> TextRate:
        """At the given degree, or at the one of highest throughput that fits."""
        num_devices, pp = whole(case, "num_devices", 1), whole(case, "pp", 1) or 1
        given = case.get("tp")
        degrees = [whole(case, "tp")] if given is not None else list(_DEGREES)
        rates, refusals = [], []
        for tp in degrees:
            if tp * pp > num_devices:
                refusals.append(f"tp {tp} x pp {pp} is more than {num_devices} devices")
                continue
            job = TextJob(
                model=text_model(case, component, device, tp),
                engine=text_engine("trtllm"),
                input_tokens=whole(case, "input_tokens"),
                output_tokens=whole(case, "output_tokens"),
                batch=None if case.get("batch") is None else whole(case, "batch"),
                replicas=num_devices / (tp * pp),
                pp=pp,
            )
            try:
                rates.append(offline_text(job))
            except CapacityError as error:
                refusals.append(str(error))
        if not rates:
            raise ConfigError(refusals[-1])
        return max(rates, key=lambda rate: rate.output_tokens_per_s)


def text_model(
    case: Case, component: Component, device: Device, tp: int, *, kv: str | None = None
) -> TextModel:
    dtype = text(case, "dtype")
    if kv is None and dtype in BITS and BITS[dtype] <= _NARROW_BITS and dtype not in _KEEP_WIDE:
        kv = "fp8"
    return TextModel(component=component, device=device, precision=of(dtype, kv), tp=tp)


_KEEP_WIDE = frozenset({"int4", "uint4"})  # weight-only formats leave the cache alone
