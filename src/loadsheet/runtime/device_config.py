"""How a device is to be set up; `auto` and None are resolved once, at start."""

from dataclasses import dataclass
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.runtime.adapter_host import AdapterRef
from loadsheet.workload.slo import ImageSLO, TextSLO


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """At least one of `text`, `image`, `embed` and `classify` names a model: catalogue name, folder
    or hub id; classifiers are folders that `loadsheet adapt text` wrote.

    `image_adapters` are low-rank weights over the image model.
    `kv_bytes` holds the KV cache of the text model, `latent_bytes` the state of started images.
    `engine` is torch, or openvino on CPUs; `auto` is openvino there for text, and torch for images
    and encoders. `dtype` int8 is of weights alone, and openvino's.
    `memory_bytes` bounds everything that the ledger counts; None means no bound.
    """

    text: str | None = None
    image: str | None = None
    device: str = "auto"
    engine: str = "auto"
    dtype: str = "auto"
    num_threads: int | None = None
    kv_bytes: int = 512 * 2**20
    latent_bytes: int = 64 * 2**20
    memory_bytes: int | None = None
    policy: str = "slack"
    max_waiting_text: int = 256
    max_waiting_images: int = 64
    text_slo: TextSLO = TextSLO()
    image_slo: ImageSLO = ImageSLO()
    cache_dir: Path | None = None
    image_adapters: tuple[AdapterRef, ...] = ()
    embed: str | None = None
    classify: tuple[Path, ...] = ()
    max_waiting_encodes: int = 1024

    def __post_init__(self) -> None:
        if not (self.text or self.image or self.embed or self.classify):
            raise ConfigError(
                "no model to serve; give --text MODEL, --image MODEL, --embed MODEL or "
                "--classify FOLDER"
            )
        if self.image_adapters and self.image is None:
            raise ConfigError("--image-adapter needs the model it is over; give --image MODEL")
        if self.num_threads is not None and self.num_threads < 1:
            raise ConfigError(f"--threads is {self.num_threads}; give 1 or more")
        for flag, value in (
            ("--kv-bytes", self.kv_bytes),
            ("--latent-bytes", self.latent_bytes),
            ("--max-waiting-text", self.max_waiting_text),
            ("--max-waiting-images", self.max_waiting_images),
            ("--max-waiting-encodes", self.max_waiting_encodes),
        ):
            if value < 1:
                raise ConfigError(f"{flag} is {value}; give 1 or more")
