"""What beside text is compiled for the cores of the lanes: images and encoders, by OpenVINO."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from loadsheet.cache_root import cache_root
from loadsheet.engine.cpu_cores import CpuCores
from loadsheet.engine.engine_choice import OPENVINO, EngineChoice
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.text_encoder import States
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.sched.lane_rule import OTHER_LANE

if TYPE_CHECKING:
    from loadsheet.engine.openvino.image_networks import ImageNetworks


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """Compiles for every share of the lane that is not text's."""

    cores: CpuCores
    precision: str
    cache_dir: Path

    def image(self, folder: Path, pipeline: ImagePipeline) -> "ImageNetworks":
        # an optional back end
        from loadsheet.engine.openvino.image_networks import open_image_networks

        return open_image_networks(
            folder,
            pipeline,
            precision=self.precision,
            cache_dir=self.cache_dir,
            shares=self.cores.shares(OTHER_LANE),
        )

    def encoder(self, folder: Path, model: nn.Module) -> tuple[Mapping[float, States], int]:
        # an optional back end
        from loadsheet.engine.openvino.token_states import open_states

        return open_states(
            folder,
            model,
            precision=self.precision,
            cache_dir=self.cache_dir,
            shares=self.cores.shares(OTHER_LANE),
        )


def compiler_of(config: DeviceConfig, choice: EngineChoice) -> Compiler | None:
    """None where torch computes images and encoders: `auto` leaves them to it."""
    if choice.cores is None or config.engine != OPENVINO:
        return None
    return Compiler(
        cores=choice.cores,
        precision=choice.precision,
        cache_dir=cache_root(config.cache_dir) / OPENVINO,
    )
