"""`loadsheet generate`: text or an image in the terminal, without a server."""

import argparse
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console
from rich.progress import Progress

from loadsheet.cli.asset_progress import asset_progress
from loadsheet.cli.device_flags import add_device_flags
from loadsheet.errors import ConfigError
from loadsheet.runtime.adapter_host import AdapterRef
from loadsheet.runtime.payload import ImagePayload, Sampling
from loadsheet.units import format_seconds

if TYPE_CHECKING:
    from loadsheet.engine.assets import ResolvedModel
    from loadsheet.engine.offline import Painter
    from loadsheet.engine.torch_device import Placement


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="catalogue name, folder or hub id")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--seed", type=int, help="same seed, same result")
    _add_text_flags(parser.add_argument_group("text"))
    _add_image_flags(parser.add_argument_group("image"))
    add_device_flags(parser)


def _add_text_flags(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--max-tokens", type=int, default=256, metavar="N")
    group.add_argument("--temperature", type=float, default=0.0, help="0 (default) is greedy")
    group.add_argument("--top-p", type=float, default=1.0)
    group.add_argument("--raw", action="store_true", help="no chat template: continue the prompt")


def _add_image_flags(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--out", type=Path, default=Path("image.png"), metavar="FILE")
    group.add_argument("--size", metavar="WxH", help="default: the model's native size")
    group.add_argument("--steps", type=int, metavar="N", help="denoise steps")
    group.add_argument("--guidance", type=float, metavar="SCALE", help="1 turns guidance off")
    group.add_argument("--negative-prompt", default="")
    group.add_argument("--adapter", type=Path, metavar="FOLDER", help="LoRA over the model")


def run(arguments: argparse.Namespace) -> int:
    # the engine needs torch, seconds of start-up that no other command should pay
    from loadsheet.engine.assets import ModelKind, resolve_model, split_adapter
    from loadsheet.engine.offline import Painter
    from loadsheet.engine.torch_device import resolve_placement

    _check(arguments)
    console = Console(stderr=True)
    ref, adapter = split_adapter(arguments.model)
    if arguments.adapter is not None:
        adapter = AdapterRef(name=arguments.adapter.resolve().name, folder=arguments.adapter)
    with asset_progress(console) as on_progress:
        model = resolve_model(ref, arguments.cache_dir, on_progress)
    placement = resolve_placement(arguments.device, arguments.dtype)
    if model.kind is ModelKind.TEXT:
        if adapter is not None:
            raise ConfigError("--adapter changes image models only")
        return _write(arguments, model, placement, console)
    return _paint(arguments, Painter.open(model.path, placement, adapter), console)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.max_tokens < 1:
        raise ConfigError(f"--max-tokens is {arguments.max_tokens}; give 1 or more")
    if not 0 <= arguments.temperature <= 2:
        raise ConfigError(f"--temperature is {arguments.temperature}; give 0 to 2")
    if not 0 < arguments.top_p <= 1:
        raise ConfigError(f"--top-p is {arguments.top_p}; give more than 0, at most 1")
    if arguments.steps is not None and not 1 <= arguments.steps <= 1000:
        raise ConfigError(f"--steps is {arguments.steps}; give 1 to 1000")
    if arguments.guidance is not None and not 0 <= arguments.guidance <= 30:
        raise ConfigError(f"--guidance is {arguments.guidance}; give 0 to 30")


def _write(
    arguments: argparse.Namespace,
    model: "ResolvedModel",
    placement: "Placement",
    console: Console,
) -> int:
    from loadsheet.engine.offline import Writer

    writer = Writer.open(model.path, placement)
    prompt_ids = writer.prompt_ids(arguments.prompt, is_chat=not arguments.raw)
    sampling = Sampling(
        temperature=arguments.temperature, top_p=arguments.top_p, seed=arguments.seed
    )
    start_s, times_s = time.perf_counter(), []
    for piece in writer.write(prompt_ids, arguments.max_tokens, sampling):
        times_s.append(time.perf_counter() - start_s)
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    if len(times_s) > 1:
        rate = (len(times_s) - 1) / (times_s[-1] - times_s[0])
        console.print(
            f"[dim]{len(prompt_ids)} + {len(times_s)} tokens, TTFT {format_seconds(times_s[0])}, "
            f"decode {rate:.1f} tokens/s[/]"
        )
    return 0


def _paint(arguments: argparse.Namespace, painter: "Painter", console: Console) -> int:
    pipeline = painter.pipeline
    if pipeline.note:
        console.print(f"[yellow]note:[/] {pipeline.note}")
    width, height = _size(arguments.size) if arguments.size else pipeline.sizes[0]
    payload = ImagePayload(
        prompt=arguments.prompt,
        negative_prompt=arguments.negative_prompt,
        width=width,
        height=height,
        num_steps=arguments.steps or pipeline.default_num_steps,
        guidance_scale=(
            pipeline.default_guidance_scale if arguments.guidance is None else arguments.guidance
        ),
        seed=secrets.randbelow(2**31) if arguments.seed is None else arguments.seed,
    )
    start_s = time.perf_counter()
    with Progress(console=console, transient=True) as bars:
        task = bars.add_task("denoise", total=payload.num_steps)
        pixels = painter.paint(payload, lambda _step_idx, _num_steps: bars.advance(task))
    Image.fromarray(pixels).save(arguments.out)
    taken = format_seconds(time.perf_counter() - start_s)
    console.print(
        f"[green]{arguments.out}[/] {width}x{height}, {payload.num_steps} steps, "
        f"guidance {payload.guidance_scale:g}, seed {payload.seed}, {taken}"
    )
    return 0


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size is {text!r}; write it as 128x128")
    return int(width), int(height)
