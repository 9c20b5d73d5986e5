"""The `predict` case offline_image."""

from dataclasses import dataclass, field

from loadsheet.cost.case import Answer, Case, check_fields, text, whole
from loadsheet.cost.kernel_case import flagged
from loadsheet.cost.serving.offline_image import ImageJob, offline_image
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Catalog

_FIELDS = {
    "model", "device", "num_devices", "dtype", "width", "height", "steps", "guidance", "batch",
    "compiled",
}  # fmt: skip


@dataclass(slots=True)
class OfflineImageAnswerer:
    catalog: Catalog = field(default_factory=Catalog)
    devices: DeviceCatalog = field(default_factory=DeviceCatalog)

    def __call__(self, case: Case) -> Answer:
        check_fields(case, _FIELDS)
        device = self.devices.find(text(case, "device"))
        is_compiled = _flag(case, "compiled")
        job = ImageJob(
            entry=self.catalog.find(text(case, "model")),
            device=device,
            num_devices=whole(case, "num_devices", 1),
            dtype=denoiser_dtype(text(case, "dtype"), device, is_compiled=is_compiled),
            width=whole(case, "width"),
            height=whole(case, "height"),
            steps=whole(case, "steps"),
            is_guided=_flag(case, "guidance"),
            batch=None if case.get("batch") is None else whole(case, "batch"),
            is_compiled=is_compiled,
        )
        rate = offline_image(job)
        answer: Answer = {
            "images_per_s": rate.images_per_s,
            "latency_s": rate.latency_s,
            "batch": rate.batch,
        }
        return flagged(answer, device)


def denoiser_dtype(dtype: str, device: Device, *, is_compiled: bool) -> str:
    """`part:dtype` names one part's format. If the part is an encoder or the VAE, the denoiser is
    left to the software: compiled engines take fp8 where the chip multiplies it."""
    part, separator, named = dtype.partition(":")
    if not separator:
        return dtype
    if part in ("unet", "denoiser", "transformer"):
        return named
    return "fp8" if is_compiled and "fp8" in device.peak_flops_per_s else "fp16"


def _flag(case: Case, key: str) -> bool:
    value = case.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{key} is {value!r}, expected true or false")
    return value
