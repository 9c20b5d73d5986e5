"""Train the default image model from nothing, in stages that resume where they stopped.

    python -m loadsheet.adapt.train_image --encoder MINILM --run RUN_FOLDER --out MODEL_FOLDER

gallery (draw the art) -> autoencoder -> latents and caption states, once -> denoiser -> decoder,
refined -> model folder. Everything between lies in the run folder; delete it to start over.
"""

import argparse
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from loadsheet.adapt.art import default_art_folder
from loadsheet.adapt.autoencoder import (
    AutoencoderConfig,
    AutoencoderLoss,
    DecoderLoss,
    build_autoencoder,
    encode_all,
    psnr_db,
    standardise,
)
from loadsheet.adapt.contact_sheet import PROMPTS, contact_sheet, sample_images
from loadsheet.adapt.denoiser import DenoiserConfig, DenoiserLoss, build_denoiser
from loadsheet.adapt.gallery import Gallery, GalleryConfig, open_gallery
from loadsheet.adapt.loop import LoopConfig, Trainer
from loadsheet.adapt.model_folder import SamplingConfig, read_model, write_model
from loadsheet.adapt.samples import CaptionTable, Samples, caption_table, picture_weights
from loadsheet.adapt.text import CaptionCache, TextEncoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainImageConfig:
    """The whole recipe; the defaults are the ones behind the committed weights."""

    encoder_folder: Path
    run_folder: Path
    out_folder: Path
    art_folder: Path
    gallery: GalleryConfig = GalleryConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    autoencoder_loop: LoopConfig = field(
        default=LoopConfig(num_steps=4400, learning_rate=1.5e-3, ema_decay=0.998)
    )
    decoder_loop: LoopConfig = field(
        default=LoopConfig(num_steps=800, learning_rate=6e-4, ema_decay=0.995)
    )
    denoiser: DenoiserConfig = DenoiserConfig()
    denoiser_loop: LoopConfig = field(
        default=LoopConfig(num_steps=11000, learning_rate=8e-4, warmup_steps=200, ema_decay=0.998)
    )
    sampling: SamplingConfig = SamplingConfig()


def train_image(config: TrainImageConfig) -> None:
    """Run all stages and write the model folder, with a contact sheet in the run folder."""
    torch.manual_seed(0)
    gallery = open_gallery(config.art_folder, config.run_folder / "gallery", config.gallery)
    autoencoder, latents = encoded(config, gallery)
    table = caption_table(gallery.pictures)
    samples = Samples(latents, picture_weights(gallery.pictures), table)
    denoiser = trained_denoiser(config, samples, caption_cache(config, table))
    autoencoder = refined_decoder(config, gallery, autoencoder, latents)
    write_model(config.out_folder, autoencoder, denoiser, config.sampling)
    measure_autoencoder(config, gallery, autoencoder)
    draw_contact_sheet(config)


def encoded(config: TrainImageConfig, gallery: Gallery) -> tuple[AutoencoderKL, Tensor]:
    """The trained, standardised autoencoder and the latents of all pictures."""
    folder = config.run_folder / "autoencoder_standardised"
    latents_path = config.run_folder / "latents.pt"
    if latents_path.exists():
        autoencoder = AutoencoderKL.from_pretrained(folder)
        return autoencoder, torch.load(latents_path, weights_only=True)
    autoencoder = trained_autoencoder(config, gallery)
    latents = encode_all(autoencoder, gallery.images)
    standardise(autoencoder, latents)
    mean, std = latents.mean(dim=(0, 2, 3), keepdim=True), latents.std(dim=(0, 2, 3), keepdim=True)
    latents = (latents - mean) / std
    autoencoder.save_pretrained(folder)
    torch.save(latents, latents_path)
    measure_autoencoder(config, gallery, autoencoder)
    return autoencoder, latents


def trained_autoencoder(config: TrainImageConfig, gallery: Gallery) -> AutoencoderKL:
    """The average weights at the end of training."""
    module = build_autoencoder(config.autoencoder)
    loss = AutoencoderLoss(gallery.images, _seen_rows(gallery), config.autoencoder)
    trainer = Trainer(module, loss, config.autoencoder_loop)
    trainer.run(config.run_folder / "vae")
    return trainer.average


def refined_decoder(
    config: TrainImageConfig, gallery: Gallery, autoencoder: AutoencoderKL, latents: Tensor
) -> AutoencoderKL:
    """The autoencoder with its decoder trained further on noisy latents, its encoder as it was."""
    autoencoder.encoder.requires_grad_(False)
    autoencoder.quant_conv.requires_grad_(False)
    autoencoder.to(memory_format=torch.channels_last)
    loss = DecoderLoss(gallery.images, latents, _seen_rows(gallery), config.autoencoder)
    trainer = Trainer(autoencoder, loss, config.decoder_loop)
    trainer.run(config.run_folder / "decoder")
    return trainer.average


def caption_cache(config: TrainImageConfig, table: CaptionTable) -> CaptionCache:
    """The encoded captions, from the run folder when they are there."""
    path = config.run_folder / "captions.pt"
    if path.exists():
        return CaptionCache.load(path)
    logger.info("encode captions=%d", len(table.texts))
    cache = CaptionCache.encode(TextEncoder(config.encoder_folder), table.texts)
    cache.save(path)
    return cache


def trained_denoiser(
    config: TrainImageConfig, samples: Samples, captions: CaptionCache
) -> UNet2DConditionModel:
    """The average weights at the end of training."""
    module = build_denoiser(config.denoiser)
    loss = DenoiserLoss(samples, captions, config.denoiser)
    trainer = Trainer(module, loss, config.denoiser_loop)
    trainer.run(config.run_folder / "unet")
    return trainer.average


def draw_contact_sheet(config: TrainImageConfig, num_seeds: int = 2) -> Path:
    """Sample the written model on the standard prompts; path of the picture."""
    encoder = TextEncoder(config.encoder_folder)
    models = read_model(config.out_folder)
    images = sample_images(models, encoder, PROMPTS, num_seeds, config.sampling)
    path = config.run_folder / "contact_sheet.png"
    contact_sheet(PROMPTS, images).save(path)
    logger.info("wrote %s", path)
    return path


def _seen_rows(gallery: Gallery) -> npt.NDArray[np.int64]:
    return np.array([p.image_idx for p in gallery.pictures if not p.is_held_out])


def measure_autoencoder(
    config: TrainImageConfig, gallery: Gallery, autoencoder: AutoencoderKL
) -> None:
    """Log and store how well images survive the round trip, seen and unseen ones."""
    drawn_plain = [p for p in gallery.pictures if p.variant == 0]
    unseen = [p.image_idx for p in drawn_plain if p.is_held_out]
    seen = [p.image_idx for p in drawn_plain if not p.is_held_out][: len(unseen)]
    report = {
        "autoencoder": asdict(config.autoencoder),
        "num_held_out": len(unseen),
        "psnr_db_held_out": psnr_db(autoencoder, gallery.images[unseen]),
        "psnr_db_seen": psnr_db(autoencoder, gallery.images[seen]),
    }
    (config.run_folder / "autoencoder.json").write_text(json.dumps(report, indent=2))
    logger.info("autoencoder psnr_db_held_out=%.2f", report["psnr_db_held_out"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, set up logging, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="MiniLM folder")
    parser.add_argument("--run", type=Path, required=True, help="checkpoints and caches")
    parser.add_argument("--out", type=Path, required=True, help="where the model folder goes")
    parser.add_argument("--art", type=Path, default=default_art_folder(), help="art archives")
    parser.add_argument("--pid-file", type=Path, help="write this process's id here")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    if args.pid_file:
        args.pid_file.write_text(str(os.getpid()))
    train_image(
        TrainImageConfig(
            encoder_folder=args.encoder,
            run_folder=args.run,
            out_folder=args.out,
            art_folder=args.art,
        )
    )


if __name__ == "__main__":
    main()
