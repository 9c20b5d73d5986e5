"""`loadsheet compare …`: two ways to do the same thing, side by side.

loadsheet compare attention lstm linear     mechanisms, then numbers from 128 to 128k tokens
loadsheet compare latent pixel              one U-Net on latents and on pixels
loadsheet compare unet dit                  a U-Net and a diffusion transformer at equal FLOPs
loadsheet compare standard flash xformers   three kernels for the same attention
loadsheet compare llama-3.1-8b sdxl         any models: a reply and an image on one device
"""

import argparse
import json
import sys
from pathlib import Path

from loadsheet.api.compare import SRAM_BYTES, compare
from loadsheet.api.model import DEFAULT_DEVICE


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (__doc__ or "").partition("\n\n")[2]
    parser.add_argument("sides", nargs="+", metavar="WHAT", help="two or more things of one kind")
    parser.add_argument("--device", default=DEFAULT_DEVICE, help="default: %(default)s")
    parser.add_argument("--hidden", type=int, default=4096, help="width of mixers (%(default)s)")
    parser.add_argument("--layers", type=int, default=32, help="depth of mixers (%(default)s)")
    parser.add_argument("--unet", help="for latent pixel (sd-1.5) and unet dit (sdxl)")
    parser.add_argument("--dit", default="pixart-sigma", help="for unet dit (%(default)s)")
    parser.add_argument("--head-dim", type=int, default=64, help="of kernels (%(default)s)")
    parser.add_argument("--sram-bytes", type=int, default=SRAM_BYTES, help="on chip (%(default)s)")
    parser.add_argument("--dtype", default="bf16", help="of models (%(default)s)")
    for name, default, text in (
        ("batch", 1, "requests at once"),
        ("input-tokens", 512, "prompt length"),
        ("output-tokens", 128, "reply length"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (%(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--json", action="store_true", help="machine-readable, SI units")


def run(arguments: argparse.Namespace) -> int:
    found = compare(
        *arguments.sides,
        device=arguments.device,
        hidden=arguments.hidden,
        layers=arguments.layers,
        unet=arguments.unet,
        dit=arguments.dit,
        head_dim=arguments.head_dim,
        sram_bytes=arguments.sram_bytes,
        dtype=arguments.dtype,
        batch=arguments.batch,
        input_tokens=arguments.input_tokens,
        output_tokens=arguments.output_tokens,
    )
    if arguments.plot:
        found.plot().save(arguments.plot)
    sys.stdout.write((json.dumps(found.as_dict()) if arguments.json else found.table()) + "\n")
    return 0
