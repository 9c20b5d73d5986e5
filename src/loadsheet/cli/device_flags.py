"""The flags that say what runs where, shared by every command that opens a device."""

import argparse
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.runtime.adapter_host import AdapterRef
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.units import parse_bytes
from loadsheet.workload.slo import ImageSLO, TextSLO

_DEFAULT = DeviceConfig(text="-")
_DEVICES = ("auto", "cpu", "cuda", "mps")
_DTYPES = ("auto", "bf16", "fp16", "fp32", "int8")
_ENGINES = ("auto", "torch", "openvino")


def add_device_flags(parser: argparse.ArgumentParser) -> None:
    """Where to run and in which number format."""
    group = parser.add_argument_group("device")
    group.add_argument("--device", choices=_DEVICES, default="auto", help="where the models run")
    group.add_argument("--dtype", choices=_DTYPES, default="auto", help="weights and matmuls")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads of the engine")
    group.add_argument("--cache-dir", type=Path, metavar="DIR", help="where models are kept")


def add_serving_flags(parser: argparse.ArgumentParser) -> None:
    """Engine, memory, policy, queue bounds and promises."""
    parser.add_argument(
        "--engine",
        choices=_ENGINES,
        default="auto",
        help="auto: openvino for text on CPUs, if installed; openvino: for all models",
    )
    group = parser.add_argument_group("load")
    group.add_argument("--policy", default=_DEFAULT.policy, help="slack or round-robin")
    for flag, text in (
        ("--kv-bytes", "KV cache of the text model, e.g. 512MiB"),
        ("--latent-bytes", "state of started images, e.g. 64MiB"),
        ("--memory-bytes", "refuse to start above this, e.g. 4GiB"),
    ):
        group.add_argument(flag, metavar="SIZE", help=text)
    group.add_argument("--max-waiting-text", type=int, default=_DEFAULT.max_waiting_text)
    group.add_argument("--max-waiting-images", type=int, default=_DEFAULT.max_waiting_images)
    group.add_argument("--ttft-slo", type=float, default=_DEFAULT.text_slo.ttft_s, metavar="S")
    group.add_argument("--tpot-slo", type=float, default=_DEFAULT.text_slo.tpot_s, metavar="S")
    group.add_argument(
        "--image-slo", type=float, default=_DEFAULT.image_slo.deadline_s, metavar="S"
    )


def device_config(arguments: argparse.Namespace) -> DeviceConfig:
    """The DeviceConfig of a command that has both groups of flags, `--text` and `--image`."""
    return DeviceConfig(
        text=arguments.text,
        image=arguments.image,
        device=arguments.device,
        engine=arguments.engine,
        dtype=arguments.dtype,
        num_threads=arguments.threads,
        kv_bytes=_size(arguments.kv_bytes, _DEFAULT.kv_bytes),
        latent_bytes=_size(arguments.latent_bytes, _DEFAULT.latent_bytes),
        memory_bytes=parse_bytes(arguments.memory_bytes) if arguments.memory_bytes else None,
        policy=arguments.policy,
        max_waiting_text=arguments.max_waiting_text,
        max_waiting_images=arguments.max_waiting_images,
        text_slo=TextSLO(ttft_s=arguments.ttft_slo, tpot_s=arguments.tpot_slo),
        image_slo=ImageSLO(deadline_s=arguments.image_slo),
        cache_dir=arguments.cache_dir,
        image_adapters=tuple(map(_adapter, arguments.image_adapter)),
        embed=arguments.embed,
        classify=tuple(Path(name) for name in arguments.classify.split(",") if name),
    )


def _adapter(text: str) -> AdapterRef:
    name, separator, folder = text.partition("=")
    if not separator or not folder:
        raise ConfigError(f"--image-adapter is {text!r}; write it as NAME=FOLDER")
    return AdapterRef(name=name, folder=Path(folder).expanduser())


def _size(text: str | None, default: int) -> int:
    return default if text is None else parse_bytes(text)
