"""`loadsheet explain MODEL`: every FLOP, byte, millisecond and dollar of a model, by part.

loadsheet explain llama-3.1-8b --device h100-sxm --input-tokens 2048
loadsheet explain sdxl --set layers_per_block=1
loadsheet explain llama-3.2-1b --reserve 0.9      why a 1B model takes 70 GB
"""

import argparse
import json
import sys
from pathlib import Path

from loadsheet.api.explain import LoadSheet, explain, explain_training
from loadsheet.api.model import DEFAULT_DEVICE
from loadsheet.cost.train import Recompute
from loadsheet.errors import ConfigError
from loadsheet.specs.change import Value, parse_change


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a catalogue name, hub id, or a folder with config.json")
    _work_flags(parser.add_argument_group("what runs"))
    _place_flags(parser.add_argument_group("where it runs"))
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="changes",
                       help="change a field of the model and show the difference")  # fmt: skip
    shown.add_argument("--reserve", type=float, metavar="SHARE",
                       help="why a server that reserves this share holds so much")  # fmt: skip
    shown.add_argument("--formulas", action="store_true", help="FLOPs, bytes, time with numbers")
    shown.add_argument("--modules", action="store_true", help="costs per module path")
    shown.add_argument("--train", action="store_true", help="a training step instead")
    shown.add_argument("--recompute", choices=[*Recompute], default=Recompute.NONE,
                       help="activations in training (%(default)s)")  # fmt: skip
    shown.add_argument("--plot", type=Path, metavar="FILE.svg", help="roofline with each phase")
    shown.add_argument("--json", action="store_true", help="machine-readable, SI units")


def _work_flags(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--dtype", default="bf16", help="weights and matmuls (bf16, fp8, int4, …)")
    group.add_argument("--kv-dtype", help="KV cache; default 16 bits")
    for name, default, text in (
        ("batch", 1, "requests at once (1)"),
        ("input-tokens", None, "prompt length (512)"),
        ("output-tokens", None, "reply length (128)"),
    ):
        group.add_argument(f"--{name}", type=int, default=default, help=text)
    for name in ("width", "height", "frames", "steps"):
        group.add_argument(f"--{name}", type=int, help="default: the model's own")


def _place_flags(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--device", default=DEFAULT_DEVICE, help="default: %(default)s")
    group.add_argument("--tp", type=int, default=1, help="devices one text model is split over")
    group.add_argument("--engine", help="of text: vllm (default), trtllm, sglang, triton")
    group.add_argument("--pipeline", help="of images: compiled (default) or eager")
    group.add_argument("--usd-per-hour", type=float, help="replaces the catalogue's price")
    group.add_argument("--power-w", type=float, help="replaces the catalogue's power")


def run(arguments: argparse.Namespace) -> int:
    if arguments.train:
        return _train(arguments)
    if arguments.recompute != Recompute.NONE:
        raise ConfigError("--recompute is about training; add --train")
    sheet = _sheet(arguments)
    if arguments.plot:
        sheet.plot().save(arguments.plot)
    if arguments.json:
        sys.stdout.write(json.dumps(sheet.as_dict()) + "\n")
    else:
        print(_text(sheet, arguments))
    return 0


def _train(arguments: argparse.Namespace) -> int:
    for flag in ("plot", "reserve", "modules", "formulas"):
        if getattr(arguments, flag):
            raise ConfigError(f"--{flag} explains a request; leave out --train")
    step = explain_training(
        arguments.model,
        device=arguments.device,
        dtype=arguments.dtype,
        batch=arguments.batch,
        tokens=arguments.input_tokens,
        width=arguments.width,
        height=arguments.height,
        frames=arguments.frames,
        recompute=arguments.recompute,
        changes=_changes(arguments),
        usd_per_hour=arguments.usd_per_hour,
        power_w=arguments.power_w,
    )
    sys.stdout.write((json.dumps(step.as_dict()) if arguments.json else step.table()) + "\n")
    return 0


def _changes(arguments: argparse.Namespace) -> dict[str, Value]:
    return {edit.field: edit.value for edit in map(parse_change, arguments.changes)}


def _sheet(arguments: argparse.Namespace) -> LoadSheet:
    return explain(
        arguments.model,
        device=arguments.device,
        dtype=arguments.dtype,
        kv_dtype=arguments.kv_dtype,
        batch=arguments.batch,
        input_tokens=arguments.input_tokens,
        output_tokens=arguments.output_tokens,
        width=arguments.width,
        height=arguments.height,
        frames=arguments.frames,
        steps=arguments.steps,
        tp=arguments.tp,
        engine=arguments.engine,
        pipeline=arguments.pipeline,
        changes=_changes(arguments),
        usd_per_hour=arguments.usd_per_hour,
        power_w=arguments.power_w,
    )


def _text(sheet: LoadSheet, arguments: argparse.Namespace) -> str:
    if arguments.reserve is not None:
        return sheet.memory(arguments.reserve)
    parts = [sheet.table()]
    if arguments.modules:
        parts.append(sheet.modules())
    if arguments.formulas:
        parts.append(sheet.formulas())
    return "\n\n".join(parts)
