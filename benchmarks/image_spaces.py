"""Latent against pixel diffusion at equal training compute, on the same pictures and captions.

    python benchmarks/image_spaces.py --run FOLDER --model FOLDER --encoder FOLDER \\
        --judge drawings=FOLDER --judge strangers=FOLDER

Three denoisers learn the same concepts from the same captions with the same loss and loop:

    latent        on the f8 latents of the default model's autoencoder
    pixel         a U-Net of as many parameters on pixels; equal FLOPs, so fewer samples
    pixel-narrow  a U-Net of as few FLOPs per sample on pixels; equal FLOPs and equal samples

FLOPs are counted by loadsheet.cost (forward; training is three times that in every arm). Each arm
then draws every concept with the same seeds; a judge that learnt from real icons names them, and
the Frechet distance to real icons is measured beside that between two sets of real icons.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from loadsheet.adapt.art import default_art_folder
from loadsheet.adapt.autoencoder import encode_all, to_pixels
from loadsheet.adapt.contact_sheet import contact_sheet
from loadsheet.adapt.denoiser import DenoiserConfig, DenoiserLoss, build_denoiser, generate
from loadsheet.adapt.frechet import frechet_distance
from loadsheet.adapt.gallery import (
    Gallery,
    GalleryConfig,
    Picture,
    draw,
    load_icon_sets,
    open_gallery,
)
from loadsheet.adapt.icon_classifier import IconClassifier
from loadsheet.adapt.image_cost import decode_flops, denoiser_flops
from loadsheet.adapt.judges import mark
from loadsheet.adapt.loop import LoopConfig, Trainer
from loadsheet.adapt.model_folder import SamplingConfig, read_model
from loadsheet.adapt.samples import CaptionTable, Samples, caption_table, picture_weights
from loadsheet.adapt.text import CaptionCache, TextEncoder
from loadsheet.track.environment import describe_environment, source_commit

SIDE, CAPTION_TOKENS, BATCH = 128, 8, 16
CONCEPTS = tuple(
    name.strip()
    for name in """
    red apple; banana; strawberry; pizza; cat face; dog face; fox; penguin; fish; butterfly;
    sunflower; rose; house; automobile; rocket; sailboat; star; cloud; umbrella; red heart;
    soccer ball; guitar; key; snowman
    """.split(";")  # noqa: SIM905  names read better as prose
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """`shift` moves noise levels up for more values per picture (Esser et al. 2024, eq. 23)."""

    name: str
    denoiser: DenoiserConfig
    factor: int
    shift: float

    @property
    def config(self) -> DenoiserConfig:
        """The noise levels of training shifted as those of sampling are."""
        mean = self.denoiser.sigma_logit_mean + float(np.log(self.shift))
        return replace(self.denoiser, batch_size=BATCH, sigma_logit_mean=mean)


LATENT = DenoiserConfig(block_out_channels=(48, 96, 160))
PIXEL = DenoiserConfig(
    sample_size=SIDE,
    latent_channels=3,
    block_out_channels=(16, 32, 48, 96, 160),
    num_plain_levels=3,
    norm_num_groups=8,
)
NARROW = replace(PIXEL, block_out_channels=(8, 8, 16, 32, 64), norm_num_groups=4)
ARMS = (
    Arm(name="latent", denoiser=LATENT, factor=8, shift=1.0),
    Arm(name="pixel", denoiser=PIXEL, factor=1, shift=3.0),
    Arm(name="pixel-narrow", denoiser=NARROW, factor=1, shift=3.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What all arms learn from; rows of `pictures` and of all tensors agree."""

    pictures: tuple[Picture, ...]
    images: npt.NDArray[np.uint8]
    latents: Tensor
    table: CaptionTable
    captions: CaptionCache


def load_data(gallery: Gallery, autoencoder: AutoencoderKL, encoder: TextEncoder) -> Data:
    """All variants of the concepts in the default look, each concept equally often."""
    chosen = [p for p in gallery.pictures if p.style.is_default and p.concept.name in CONCEPTS]
    pictures = tuple(
        replace(p, image_idx=i, concept=replace(p.concept, weight=1.0))
        for i, p in enumerate(chosen)
    )
    images = gallery.images[[p.image_idx for p in chosen]]
    table = caption_table(pictures)
    return Data(
        pictures=pictures,
        images=images,
        latents=encode_all(autoencoder, images),
        table=table,
        captions=CaptionCache.encode(encoder, table.texts),
    )


def pixel_scale(images: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and deviation that bring pixels to what latents have: 0 and 1."""
    x_BCHW = to_pixels(images)
    return x_BCHW.mean().item(), x_BCHW.std().item()


def train(arm: Arm, data: Data, folder: Path, num_steps: int) -> tuple[UNet2DConditionModel, dict]:
    """The average weights, and what the training took; resumes in `folder`."""
    if arm.factor == 1:
        mean, std = pixel_scale(data.images)
        targets = (to_pixels(data.images) - mean) / std
    else:
        targets = data.latents
    samples = Samples(targets, picture_weights(data.pictures), data.table)
    torch.manual_seed(0)
    loop = LoopConfig(
        num_steps=num_steps,
        learning_rate=1e-3,
        warmup_steps=max(5, num_steps // 20),
        ema_decay=0.99,
        checkpoint_every=50,
    )
    trainer = Trainer(
        build_denoiser(arm.config), DenoiserLoss(samples, data.captions, arm.config), loop
    )
    trainer.run(folder)
    return trainer.average, {
        "steps": num_steps,
        "samples": num_steps * BATCH,
        "train_seconds": trainer.seconds,
    }


@torch.no_grad()
def sample(
    arm: Arm,
    denoiser: UNet2DConditionModel,
    autoencoder: AutoencoderKL,
    encoder: TextEncoder,
    data: Data,
    num_seeds: int,
) -> tuple[npt.NDArray[np.uint8], float]:
    """uint8 [concepts, seeds, H, W, 3] and CPU seconds per image; seed k has the same noise."""
    config = arm.denoiser
    noise = torch.randn(
        num_seeds,
        config.latent_channels,
        config.sample_size,
        config.sample_size,
        generator=torch.Generator().manual_seed(0),
    )
    sampling = SamplingConfig(shift=arm.shift)
    mean, std = pixel_scale(data.images)
    empty, rows, started_s = encoder([""] * num_seeds), [], time.process_time()
    for name in CONCEPTS:
        with torch.autocast("cpu", torch.bfloat16):
            text = encoder([name] * num_seeds)
            x_BCHW = generate(denoiser.eval(), text, empty, noise, sampling)
            x_BCHW = x_BCHW * std + mean if arm.factor == 1 else autoencoder.decode(x_BCHW).sample
        x_BCHW = x_BCHW.float().clamp(-1, 1)
        rows.append(((x_BCHW + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    seconds = (time.process_time() - started_s) / (len(CONCEPTS) * num_seeds)
    return np.stack(rows), seconds


def fresh(data: Data, art_folder: Path, num_variants: int, first: int) -> npt.NDArray[np.uint8]:
    """Real icons of the same concepts, moved and zoomed in ways that no one has seen."""
    icons = load_icon_sets(art_folder)
    plain = sorted(
        (p for p in data.pictures if p.variant == 0), key=lambda p: CONCEPTS.index(p.concept.name)
    )
    config = GalleryConfig(seed=1)
    return np.stack(
        [
            draw(
                replace(p, image_idx=1000 * p.image_idx + v, variant=1), icons[p.style.key], config
            )
            for p in plain
            for v in range(first, first + num_variants)
        ]
    )


def judged(
    images: npt.NDArray[np.uint8], real: npt.NDArray[np.uint8], judge: IconClassifier
) -> dict:
    """Marks and distance of [concepts, seeds, …] beside real pictures."""
    num_seeds = images.shape[1]
    label_idx = [judge.labels.index(name) for name in CONCEPTS for _ in range(num_seeds)]
    flat = images.reshape(-1, *images.shape[2:])
    marks = mark(judge, flat, label_idx)
    distance = frechet_distance(judge.features(flat), judge.features(real))
    return {"top1": marks.top1, "top5": marks.top5, "frechet": distance}


def write_report(args: argparse.Namespace, rows: Sequence[dict]) -> None:
    """After every arm, so that a stopped run leaves what it found."""
    report = {
        "date": date.today().isoformat(),
        "commit": source_commit(),
        "environment": describe_environment(),
        "concepts": CONCEPTS,
        "seeds": args.seeds,
        "arms": rows,
    }
    path = args.out / f"image_spaces_{date.today().isoformat()}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="checkpoints")
    parser.add_argument("--model", type=Path, required=True, help="whose autoencoder is used")
    parser.add_argument("--encoder", type=Path, required=True, help="MiniLM folder")
    parser.add_argument("--gallery", type=Path, help="a drawn gallery (default: in --run)")
    parser.add_argument("--art", type=Path, default=default_art_folder())
    parser.add_argument("--judge", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--steps", type=int, default=700, help="of the latent arm")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    gallery = open_gallery(args.art, args.gallery or args.run / "gallery", GalleryConfig())
    autoencoder, _ = read_model(args.model)
    encoder = TextEncoder(args.encoder)
    data = load_data(gallery, autoencoder, encoder)
    judges = {
        name: IconClassifier.load(Path(folder))
        for name, _, folder in (pair.partition("=") for pair in args.judge)
    }
    real, again = (fresh(data, args.art, args.seeds, first) for first in (0, args.seeds))
    shape = (len(CONCEPTS), args.seeds, SIDE, SIDE, 3)
    rows = [
        {"arm": "real icons"}
        | {name: judged(again.reshape(shape), real, judge) for name, judge in judges.items()}
    ]
    budget = 0.0
    for arm in ARMS:
        fresh_denoiser = build_denoiser(arm.config)
        flops = denoiser_flops(fresh_denoiser, SIDE, arm.factor, CAPTION_TOKENS)
        budget = budget or args.steps * flops
        denoiser, facts = train(arm, data, args.run / arm.name, round(budget / flops))
        images, image_s = sample(arm, denoiser, autoencoder, encoder, data, args.seeds)
        contact_sheet(CONCEPTS, images).save(args.run / f"{arm.name}.png")
        step = 2 * denoiser_flops(fresh_denoiser, SIDE, arm.factor, 32)
        decode = decode_flops(autoencoder, SIDE) if arm.factor > 1 else 0
        rows.append(
            {
                "arm": arm.name,
                "parameters": sum(p.numel() for p in denoiser.parameters()),
                "forward_flops": flops,
                "train_flops": 3 * flops * facts["samples"],
                "image_flops": SamplingConfig().num_steps * step + decode,
                "image_cpu_s": image_s,
                **facts,
                **{name: judged(images, real, judge) for name, judge in judges.items()},
            }
        )
        print(json.dumps(rows[-1]), flush=True)
        write_report(args, rows)


if __name__ == "__main__":
    main()
