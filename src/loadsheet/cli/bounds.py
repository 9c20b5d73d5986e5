"""`loadsheet bounds`: the goodput that no scheduler can exceed, for a mix on a device.

loadsheet bounds --text llama-3.1-8b --image sdxl --device h100-sxm --ratio 10
"""

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadsheet.cost.bound_case import MixCase, bounds_on, cluster_rps
from loadsheet.cost.bounds import Bounds
from loadsheet.cost.mixed_load import ImageClass, TextClass
from loadsheet.cost.step_cost import Setup
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.cluster import read_cluster
from loadsheet.hardware.device import Device
from loadsheet.specs.catalog import Catalog, Entry
from loadsheet.specs.model_folder import read_entry
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.specs.precision import of
from loadsheet.workload.slo import ImageSLO, TextSLO

_EXPLAINED = {
    "serial_unfused_rps": "one step after another, prompts and decodes apart",
    "serial_fused_rps": "prompts ride on the decodes' pass over the weights",
    "overlap_rps": "arithmetic of one class under memory traffic of the other",
    "memory_rps": "sequences resident at once",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", required=True, metavar="MODEL", help="catalogue name or folder")
    parser.add_argument("--image", required=True, metavar="MODEL", help="catalogue name or folder")
    parser.add_argument("--device", default="h100-sxm-80gb", help="default: %(default)s")
    parser.add_argument("--cluster", type=Path, metavar="FILE", help="many devices instead of one")
    parser.add_argument("--dtype", default="bf16", help="weights and matmuls (%(default)s)")
    parser.add_argument("--ratio", type=float, default=10.0, help="chats per image (%(default)s)")
    for name, default in (("input-tokens", 512), ("output-tokens", 128)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(%(default)s)")
    for name in ("width", "height", "steps"):
        parser.add_argument(f"--{name}", type=int, help="default: the image model's own")
    text, image = TextSLO(), ImageSLO()
    parser.add_argument("--ttft-slo", type=float, default=text.ttft_s, metavar="S")
    parser.add_argument("--tpot-slo", type=float, default=text.tpot_s, metavar="S")
    parser.add_argument("--image-slo", type=float, default=image.deadline_s, metavar="S")
    parser.add_argument("--json", action="store_true", help="machine-readable, SI units")


def run(arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.ratio < math.inf:
        raise ConfigError(f"--ratio is {arguments.ratio:g}; give 0 or more chats per image")
    case, catalog = _case(arguments), DeviceCatalog()
    if arguments.cluster is not None:
        found = read_cluster(arguments.cluster, catalog)
        devices = [(node.device, node.num_devices * count) for node, count in found.nodes]
        return _cluster(case, devices, as_json=arguments.json)
    device = catalog.find(arguments.device)
    found_bounds = bounds_on(case, device)
    if arguments.json:
        sys.stdout.write(json.dumps(_fields(found_bounds, device)) + "\n")
    else:
        _print(Console(), case, device, found_bounds)
    return 0


def _case(arguments: argparse.Namespace) -> MixCase:
    image = _entry(arguments.image)
    if not isinstance(image.model, PipelineSpec):
        raise ConfigError(f"{image.name} is no image pipeline; --image takes one")
    share = arguments.ratio / (1 + arguments.ratio)
    pipeline = image.model
    return MixCase(
        text=_entry(arguments.text),
        image=image,
        replies=TextClass(
            share=share,
            input_tokens=arguments.input_tokens,
            output_tokens=arguments.output_tokens,
            slo=TextSLO(ttft_s=arguments.ttft_slo, tpot_s=arguments.tpot_slo),
        ),
        pictures=ImageClass(
            share=1 - share,
            width=arguments.width or pipeline.width,
            height=arguments.height or pipeline.height,
            steps=arguments.steps or pipeline.steps,
            is_guided=pipeline.is_guided,
            slo=ImageSLO(deadline_s=arguments.image_slo),
        ),
        setup=Setup(precision=of(arguments.dtype)),
    )


def _entry(name: str) -> Entry:
    folder = Path(name)
    return read_entry(folder) if folder.is_dir() else Catalog().find(name)


def _cluster(case: MixCase, devices: list[tuple[Device, int]], *, as_json: bool) -> int:
    rps = cluster_rps(case, devices)
    num = sum(count for _, count in devices)
    if as_json:
        sys.stdout.write(json.dumps({"num_devices": num, "cluster_rps": rps}) + "\n")
    else:
        print(f"{num} devices: at most {rps:.3g} requests/s of this mix (linear program, computed)")
    return 0


def _fields(found: Bounds, device: Device) -> dict[str, object]:
    numbers = {
        name: value if not isinstance(value, float) or math.isfinite(value) else None
        for name, value in asdict(found).items()
    }
    return {"device": device.name, **numbers, "goodput_rps": found.goodput_rps}


def _print(console: Console, case: MixCase, device: Device, found: Bounds) -> None:
    chat, draw = case.replies, case.pictures
    console.print(
        f"{case.text.name} ({chat.input_tokens} tokens in, {chat.output_tokens} out) and "
        f"{case.image.name} ({draw.width}x{draw.height}, {draw.steps} steps) on {device.name}\n"
        f"TTFT {chat.slo.ttft_s:g} s, TPOT {chat.slo.tpot_s:g} s, images in "
        f"{draw.slo.deadline_s:g} s; computed, not measured\n",
        highlight=False,
    )
    for reason in found.broken:
        console.print(f"[yellow]no goodput:[/] {reason}")
    table = Table("bound", box=None)
    for name in ("requests/s", "chats/s", "images/s"):
        table.add_column(name, justify="right")
    table.add_column("what limits")
    for name, words in _EXPLAINED.items():
        rps = asdict(found)[name]
        parts = (rps, rps * chat.share, rps * draw.share)
        cells = ["none" if math.isinf(rps) else f"{part:.3g}" for part in parts]
        table.add_row(name.removesuffix("_rps").replace("_", " "), *cells, words)
    console.print(table)
