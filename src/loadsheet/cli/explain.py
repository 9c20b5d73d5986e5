"""`loadsheet explain MODEL`: every FLOP, byte and millisecond of a model, by part.

loadsheet explain llama-3.1-8b --device h100-sxm --input-tokens 2048
loadsheet explain sdxl --set layers_per_block=1
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from loadsheet.cli.explanation import (
    as_json,
    difference,
    fits_text,
    formula_list,
    headline,
    memory_table,
    module_table,
    phase_table,
    roofline,
    train_text,
)
from loadsheet.cost.components import operators
from loadsheet.cost.explain import Work, explain, reserved, steps
from loadsheet.cost.shape import Logits, Span, TokenShape
from loadsheet.cost.train import Recompute, TrainStep, train_step
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog, with_price
from loadsheet.specs.catalog import Catalog, Entry
from loadsheet.specs.change import changed, parse_change
from loadsheet.specs.from_hf import from_folder
from loadsheet.specs.pipeline import Role
from loadsheet.specs.precision import of

_TRAINED = (Role.DECODER, Role.DENOISER, Role.ENCODER)
DEFAULT_DEVICE = "h100-sxm-80gb"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a catalogue name, hub id, or a folder with config.json")
    parser.add_argument("--device", default=DEFAULT_DEVICE, help="default: %(default)s")
    parser.add_argument("--dtype", default="bf16", help="weights and matmuls (bf16, fp8, int4, …)")
    parser.add_argument("--kv-dtype", help="KV cache; default 16 bits")
    for name, text in (
        ("batch", "requests at once"),
        ("input-tokens", "prompt length"),
        ("output-tokens", "reply length"),
    ):
        default = {"batch": 1, "input-tokens": 512, "output-tokens": 128}[name]
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (%(default)s)")
    for name in ("width", "height", "frames", "steps"):
        parser.add_argument(f"--{name}", type=int, help="default: the model's own")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="changes")
    parser.add_argument("--reserve", type=float, help="share of memory a server reserves (0.9)")
    parser.add_argument("--usd-per-hour", type=float, help="replaces the catalogue's price")
    parser.add_argument("--formulas", action="store_true", help="each operator's formula")
    parser.add_argument("--modules", action="store_true", help="costs per module path")
    parser.add_argument("--train", action="store_true", help="a training step instead")
    parser.add_argument("--recompute", choices=[*Recompute], default=Recompute.NONE)
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.svg", help="the roofline with each phase"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable, SI units")


def run(arguments: argparse.Namespace) -> int:
    entry = find_entry(arguments.model)
    device = DeviceCatalog().find(arguments.device)
    if arguments.usd_per_hour is not None:
        device = with_price(device, arguments.usd_per_hour)
    precision = of(arguments.dtype, arguments.kv_dtype)
    work = Work(
        batch=arguments.batch,
        input_tokens=arguments.input_tokens,
        output_tokens=arguments.output_tokens,
        width=arguments.width,
        height=arguments.height,
        frames=arguments.frames,
        steps=arguments.steps,
    )
    base = explain(entry, device, precision, work)
    if arguments.changes:
        edits = [parse_change(text) for text in arguments.changes]
        entry = replace(entry, model=changed(entry.model, edits))
    shown = explain(entry, device, precision, work) if arguments.changes else base
    if arguments.plot:
        arguments.plot.write_text(roofline(shown).svg(), encoding="utf-8")
    if arguments.json:
        sys.stdout.write(json.dumps(as_json(shown)) + "\n")
        return 0
    if arguments.train:
        step = training(entry, work, arguments.recompute)
        sys.stdout.write(train_text(shown, step) + "\n")
        return 0
    print(
        headline(shown),
        phase_table(shown),
        memory_table(shown.ledger),
        fits_text(shown),
        sep="\n\n",
    )
    if arguments.reserve is not None:
        held = reserved(shown, arguments.reserve)
        print(f"\nA server that reserves {arguments.reserve:.0%} of the device holds")
        print(memory_table(held))
    if arguments.changes:
        print("\n" + difference(base, shown, arguments.changes))
    if arguments.modules:
        print("\n" + module_table(entry, shown))
    if arguments.formulas:
        print("\n" + formula_list(entry, shown))
    return 0


def find_entry(name: str) -> Entry:
    """A catalogue entry, or one made from a local folder with a single `config.json`."""
    folder = Path(name)
    if not folder.is_dir():
        return Catalog().find(name)
    specs = from_folder(folder)
    if list(specs) != ["model"]:
        raise ConfigError(
            f"{folder} holds {', '.join(specs)}; explain one of its component folders"
        )
    return Entry(
        name=folder.resolve().name,
        aliases=(),
        source=str(folder),
        date="",
        checked="file",
        model=specs["model"],
        fields={},
    )


def training(entry: Entry, work: Work, recompute: str) -> TrainStep:
    """A step over `batch` sequences of `input_tokens`, or over the denoiser's pictures."""
    step = next(step for step in steps(entry, work) if step.component.role in _TRAINED)
    shape = step.shape
    if isinstance(shape, TokenShape):
        shape = TokenShape(
            tokens=shape.tokens,
            context=shape.tokens,
            batch=work.batch,
            logits=Logits.ALL,
            span=Span.SERVED,
        )
    ops = operators(step.component, shape)
    return train_step(entry.name, ops, Recompute(recompute))
