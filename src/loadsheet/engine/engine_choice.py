"""Which engine computes text, where and in which number format: `auto` resolved once, at start."""

import logging
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from loadsheet.engine.cpu_cores import CpuCores, cores_of_process
from loadsheet.engine.torch_device import Placement, resolve_placement
from loadsheet.errors import ConfigError
from loadsheet.runtime.device_config import DeviceConfig

logger = logging.getLogger(__name__)

TORCH, OPENVINO = "torch", "openvino"
_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """`placement` holds for all that torch computes. `cores` are those of the lanes, None where
    torch alone computes. `weights` is the dtype of the decoder's weights."""

    name: str
    placement: Placement
    weights: str
    cores: CpuCores | None

    @property
    def precision(self) -> str:
        """fp32 or bf16: of products on a CPU."""
        return _PRECISIONS[self.placement.dtype]

    @property
    def num_lanes(self) -> int:
        return 1 if self.cores is None else self.cores.num_lanes


def choose_engine(config: DeviceConfig) -> EngineChoice:
    """ConfigError for an engine that this device or this installation does not have."""
    is_int8 = config.dtype == "int8"
    placement = resolve_placement(config.device, "auto" if is_int8 else config.dtype)
    name = _resolve(config.engine, placement.device.type)
    if is_int8 and name != OPENVINO:
        raise ConfigError(
            f"dtype is 'int8', which the {name} engine on {placement.device.type} has not; "
            "give auto, bf16 or fp32"
        )
    dtype = str(placement.dtype).removeprefix("torch.")
    weights = "int8" if is_int8 else {"float32": "fp32", "bfloat16": "bf16"}.get(dtype, dtype)
    cores = cores_of_process(config.num_threads) if name == OPENVINO else None
    logger.info("engine=%s weights=%s cores=%s", name, weights, cores)
    return EngineChoice(name=name, placement=placement, weights=weights, cores=cores)


def _resolve(name: str, device: str) -> str:
    if name not in ("auto", TORCH, OPENVINO):
        raise ConfigError(f"engine is {name!r}; give auto, torch or openvino")
    is_installed = find_spec("openvino") is not None
    if name == "auto":
        return OPENVINO if device == "cpu" and is_installed else TORCH
    if name == OPENVINO and device != "cpu":
        raise ConfigError(f"engine is 'openvino', which computes on a cpu, not on {device}")
    if name == OPENVINO and not is_installed:
        raise ConfigError(
            "engine is 'openvino', which is not installed; pip install 'loadsheet[openvino]'"
        )
    return name
