"""One device, an LLM and an image generator: right, how fast alone, how fast together.

    benchmarks/gpu_coserve.sh                                on a machine with a CUDA GPU
    python benchmarks/gpu_coserve.py --device cpu --tiny     the same, tiny, anywhere

First correctness (tiny models in fp32, see coserve_checks.py), then speed: random weights in the
shapes of large models, through the real scheduler, device loop and engines. Text alone at several
numbers of streams, images alone at several batch sizes, then both. Writes JSON and Markdown;
exits 1 when a check fails. Without a GPU it says so and runs the tiny part on the CPU.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

import torch

from coserve_checks import Check, check_device
from coserve_load import Engines, Load, run_load
from loadsheet.bench.environment import describe_environment
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.engine.torch_device import Placement
from loadsheet.units import format_bytes
from random_models import (
    IMAGE_SHAPES,
    TEXT_SHAPES,
    blank_tokenizer,
    random_decoder,
    random_pipeline,
)

TEXT_STREAMS, MIXED_STREAMS = (1, 8, 32), (8, 32)
IMAGE_BATCHES, MIXED_IMAGES = (1, 4), 4
BLOCK_TOKENS = 16


class Memory:
    """Bytes by owner: what the engines say, and on a GPU what its allocator says."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.owners: dict[str, dict[str, int]] = {}
        self._last_bytes = self._allocated()

    def add(self, owner: str, num_bytes: int) -> None:
        """Call right after `owner` was made."""
        now_bytes = self._allocated()
        self.owners[owner] = {"counted": num_bytes}
        if self._device.type == "cuda":
            self.owners[owner]["allocated"] = now_bytes - self._last_bytes
        self._last_bytes = now_bytes

    def add_activations(self) -> None:
        if self._device.type == "cuda":
            peak_bytes = torch.cuda.max_memory_allocated(self._device)
            self.owners["activations"] = {"allocated": peak_bytes - self._last_bytes}

    def _allocated(self) -> int:
        is_gpu = self._device.type == "cuda"
        return torch.cuda.memory_allocated(self._device) if is_gpu else 0


def load_text(shape: str, placement: Placement, kv_bytes: int, memory: Memory) -> TextEngine:
    decoder = random_decoder(shape, placement, placement.device, seed=0)
    memory.add(f"{shape} weights", decoder.weight_bytes)
    config = decoder.config
    numbers = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    block_bytes = numbers * BLOCK_TOKENS * placement.dtype.itemsize
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = blank_tokenizer(Path(folder))
    engine = TextEngine(TorchTextModel(decoder, num_blocks=kv_bytes // block_bytes), tokenizer)
    memory.add(f"{shape} KV blocks", engine.kv_bytes)
    return engine


def load_images(shape: str, placement: Placement, memory: Memory) -> ImageEngine:
    pipeline = random_pipeline(shape, placement, placement.device, seed=0)
    memory.add(f"{shape} weights", sum(pipeline.weight_bytes.values()))
    return ImageEngine(pipeline)


def phases(
    text: TextEngine, images: dict[str, ImageEngine]
) -> Iterator[tuple[str, Engines, int, int]]:
    """(name, engines, streams, images): alone first, then together."""
    for streams in TEXT_STREAMS:
        yield "text alone", Engines(text=text), streams, 0
    for name, engine in images.items():
        for batch in IMAGE_BATCHES:
            yield f"{name} alone", Engines(images=engine), 0, batch
        for streams in MIXED_STREAMS:
            engines = Engines(text=text, images=engine)
            yield f"text + {name}", engines, streams, MIXED_IMAGES


def measure(arguments: argparse.Namespace, placement: Placement) -> dict[str, object]:
    memory = Memory(placement.device)
    start_s = time.perf_counter()
    text = load_text(arguments.text, placement, arguments.kv_bytes, memory)
    images = {name: load_images(name, placement, memory) for name in arguments.images}
    load_s = time.perf_counter() - start_s
    rows = []
    for name, engines, num_streams, num_images in phases(text, images):
        load = Load(
            num_streams=num_streams,
            num_images=num_images,
            window_s=arguments.seconds,
            prompt_tokens=arguments.prompt_tokens,
            output_tokens=arguments.output_tokens,
            tpot_slo_s=arguments.tpot_slo,
        )
        rows.append({"phase": name, **run_load(engines, load, arguments.policy)})
        print(f"{name}: {rows[-1]}", file=sys.stderr)
    memory.add_activations()
    steps = {name: engine.pipeline.default_num_steps for name, engine in images.items()}
    return {"load_s": load_s, "memory": memory.owners, "num_steps": steps, "rows": rows}


def markdown(report: dict[str, object]) -> str:
    facts = report["environment"]
    lines = ["# An LLM and an image generator on one device", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items() if value is not None]
    lines += ["", "| check | found | limit | ok |", "|---|---|---|---|"]
    lines += [
        f"| {one['name']} | {one['found']:.3g} | {one['limit']:.3g} | {_yes(one['is_ok'])} |"
        for one in report["checks"]
    ]
    speed, settings = report["speed"], report["settings"]
    lines += ["", "| owner | counted | allocated |", "|---|---|---|"]
    lines += [
        f"| {owner} | {_bytes(row.get('counted'))} | {_bytes(row.get('allocated'))} |"
        for owner, row in speed["memory"].items()
    ]
    lines += [
        "",
        "| phase | streams | images | tok/s | ITL p50 ms | ITL p99 ms | images/s "
        "| guided denoise step ms, by images in it | busy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_speed_row(row, speed["num_steps"]) for row in speed["rows"]]
    lines += [
        "",
        "images/s is denoise steps per second over steps per image: encoding and VAE decode take "
        "their share of the same window. Random weights; greedy; closed loop. Beside images, "
        f"{settings['policy']} decodes no sooner than its promise of {settings['tpot_slo']} s per "
        "token asks.",
    ]
    return "\n".join(lines) + "\n"


def _speed_row(row: dict[str, object], num_steps: dict[str, int]) -> str:
    image = next((name for name in num_steps if name in row["phase"]), None)
    images_per_s = row["denoise_steps_per_s"] / num_steps[image] if image else None
    step_s = row["step_s"]["denoise"]
    cells = [
        row["phase"],
        str(row["num_streams"]),
        str(row["num_images"]),
        f"{row['tokens_per_s']:.1f}" if row["num_streams"] else "",
        _milliseconds(row["itl_p50_s"]),
        _milliseconds(row["itl_p99_s"]),
        "" if images_per_s is None else f"{images_per_s:.3f}",
        ", ".join(f"{batch}: {_milliseconds(seconds)}" for batch, seconds in step_s.items()),
        f"{row['busy_share']:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.1f}"


def _bytes(num_bytes: int | None) -> str:
    return "" if num_bytes is None else format_bytes(num_bytes)


def _yes(is_ok: bool) -> str:
    return "yes" if is_ok else "NO"


def parse(flags: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="default: cuda where there is one, else cpu --tiny")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes and short windows")
    parser.add_argument("--text", choices=TEXT_SHAPES, default="llama-8b")
    parser.add_argument("--images", nargs="+", choices=IMAGE_SHAPES, default=["sd15", "sdxl-unet"])
    parser.add_argument("--seconds", type=float, help="window of each phase; default 15, tiny 1")
    parser.add_argument("--kv-bytes", type=int, default=12 << 30)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--output-tokens", type=int, default=2048)
    parser.add_argument("--tpot-slo", type=float, default=0.05, metavar="S")
    parser.add_argument("--policy", default="slack")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args(flags)
    if arguments.device is None and not torch.cuda.is_available():
        print("No CUDA GPU here: tiny shapes on the CPU, for correctness.", file=sys.stderr)
        arguments.tiny = True
    arguments.device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    arguments.seconds = arguments.seconds or (1.0 if arguments.tiny else 15.0)
    if arguments.tiny:
        arguments.text, arguments.images = "tiny-text", ["tiny-image"]
        arguments.kv_bytes, arguments.output_tokens = 32 << 20, 256
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    flags = sys.argv[1:] if argv is None else argv
    arguments = parse(flags)
    device = torch.device(arguments.device)
    environment = describe_environment() | {
        "command": " ".join(
            ["python benchmarks/gpu_coserve.py", *(sys.argv[1:] if argv is None else argv)]
        ),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "cuda": torch.version.cuda,
    }
    checks = check_device(device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    speed = measure(arguments, Placement(device=device, dtype=dtype))
    report: dict[str, object] = {
        "environment": environment,
        "settings": {name: str(value) for name, value in vars(arguments).items()},
        "checks": [_fields(one) for one in checks],
        "speed": speed,
    }
    text = markdown(report)
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = f"gpu_coserve_{device.type}{'_tiny' if arguments.tiny else ''}_{date.today()}"
    (arguments.out / f"{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / f"{stem}.md").write_text(text)
    print(text)
    return 0 if all(one.is_ok for one in checks) else 1


def _fields(check: Check) -> dict[str, object]:
    return {**asdict(check), "is_ok": check.is_ok}


if __name__ == "__main__":
    sys.exit(main())
