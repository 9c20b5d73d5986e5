"""Figures of the image ablations from their stored results.

    python benchmarks/image_figures.py --autoencoders FILE.json --spaces FILE.json --sheets FOLDER

Writes docs/guide/img/image-autoencoders.svg (error against FLOPs) and image-spaces.png (the same
concepts from each denoiser; `--sheets` is the run folder of image_spaces.py).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from image_spaces import CONCEPTS, SIDE
from loadsheet.adapt.contact_sheet import LABEL_HEIGHT, PROMPTS_ACROSS

COLORS = {"KL": "#3b6fb6", "VQ": "#c2571a"}
SHOWN = ("red apple", "banana", "pizza", "cat face", "penguin", "house", "rocket", "red heart")
SHOWN_SEEDS = 2


def draw_autoencoders(report: dict, path: Path) -> None:
    """PSNR of unseen drawings over the FLOPs of one picture, the decoder's part noted."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for kind, color in COLORS.items():
        arms = sorted((a for a in report["arms"] if a["kind"] == kind), key=lambda a: a["factor"])
        x, y = [a["image_flops"] / 1e9 for a in arms], [a["psnr_db"] for a in arms]
        axes.plot(x, y, "o-", color=color, label=f"{kind} latents")
        for arm, flops, psnr_db in zip(arms, x, y, strict=True):
            share = arm["decode_flops"] / arm["image_flops"]
            text = f"f{arm['factor']} (decoder {share:.0%})"
            below = -14 if kind == "VQ" else 7
            axes.annotate(text, (flops, psnr_db), (4, below), textcoords="offset points", size=8)
    axes.set_xscale("log")
    axes.set_xlabel("GFLOPs of a picture: 20 steps with guidance, and the decoder")
    axes.set_ylabel("PSNR of unseen drawings, dB")
    axes.margins(0.18)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def draw_spaces(report: dict, sheets: Path, path: Path) -> None:
    """One line per arm, two seeds of each concept shown; cut out of the arms' own sheets."""
    arms = [arm["arm"] for arm in report["arms"] if (sheets / f"{arm['arm']}.png").exists()]
    width, label = SHOWN_SEEDS * SIDE, 18
    figure = Image.new("RGB", (len(SHOWN) * width, len(arms) * (SIDE + label)), "white")
    draw = ImageDraw.Draw(figure)
    for line, arm in enumerate(arms):
        draw.text((4, line * (SIDE + label) + 3), arm, fill="black")
        with Image.open(sheets / f"{arm}.png") as sheet:
            for column, name in enumerate(SHOWN):
                cell = cut_cell(sheet, CONCEPTS.index(name), report["seeds"])
                figure.paste(cell, (column * width, line * (SIDE + label) + label))
    figure.quantize(128).save(path, optimize=True)


def cut_cell(sheet: Image.Image, index: int, num_seeds: int) -> Image.Image:
    """The first seeds of concept `index` of a contact sheet."""
    left = (index % PROMPTS_ACROSS) * (num_seeds * SIDE + 8)
    top = (index // PROMPTS_ACROSS) * (SIDE + LABEL_HEIGHT) + LABEL_HEIGHT
    return sheet.crop((left, top, left + SHOWN_SEEDS * SIDE, top + SIDE))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoders", type=Path, required=True)
    parser.add_argument("--spaces", type=Path, required=True)
    parser.add_argument("--sheets", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/guide/img"))
    args = parser.parse_args(arguments)
    autoencoders, spaces = (json.loads(p.read_text()) for p in (args.autoencoders, args.spaces))
    draw_autoencoders(autoencoders, args.out / "image-autoencoders.svg")
    draw_spaces(spaces, args.sheets, args.out / "image-spaces.png")


if __name__ == "__main__":
    main()
