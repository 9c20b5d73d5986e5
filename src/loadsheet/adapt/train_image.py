"""The default image model from nothing, in stages that resume where they stopped.

gallery (draw the art) -> autoencoder -> latents and caption states, once -> denoiser -> decoder,
refined -> model folder, contact sheet. Everything between lies in the work folder; delete it to
start over. The tracked run is continued with the training.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from loadsheet.adapt.autoencoder import (
    AutoencoderLoss,
    DecoderLoss,
    build_autoencoder,
    encode_all,
    psnr_db,
    standardise,
)
from loadsheet.adapt.contact_sheet import contact_sheet, sample_images
from loadsheet.adapt.denoiser import DenoiserLoss, build_denoiser
from loadsheet.adapt.gallery import Gallery, open_gallery
from loadsheet.adapt.image_config import TrainImageConfig
from loadsheet.adapt.loop import Trainer
from loadsheet.adapt.model_folder import read_model, write_model
from loadsheet.adapt.observer import Observers, RunLog
from loadsheet.adapt.samples import CaptionTable, Samples, caption_table, picture_weights
from loadsheet.adapt.stage_progress import StageProgress
from loadsheet.adapt.text import CaptionCache, TextEncoder
from loadsheet.errors import ConfigError
from loadsheet.track import JSON, Run, resume_run, start_run

COMMAND = "train image"
SHEET_NAME = "contact_sheet.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTask:
    """Where a training reads, writes and is tracked."""

    config: TrainImageConfig
    encoder_folder: Path
    work_folder: Path
    out_folder: Path
    art_folder: Path
    runs_folder: Path
    progress: StageProgress
    sinks: Sequence[str] = ()


def train_image(task: ImageTask) -> Path:
    """Run all stages and write the model folder; returns the folder of the tracked run."""
    check_same_recipe(task)
    torch.manual_seed(task.config.denoiser_loop.seed)
    with open_run(task) as run:
        gallery = drawn_gallery(task)
        autoencoder, latents = encoded(task, run, gallery)
        table = caption_table(gallery.pictures)
        samples = Samples(latents, picture_weights(gallery.pictures), table)
        denoiser = trained_denoiser(task, run, samples, caption_cache(task, table))
        autoencoder = refined_decoder(task, run, gallery, autoencoder, latents)
        write_model(task.out_folder, autoencoder, denoiser, task.config.sampling)
        run.summary(autoencoder_facts(gallery, autoencoder))
        run.summary(model_facts(task.out_folder, autoencoder, denoiser))
        run.artifact(draw_contact_sheet(task))
    return run.folder


def drawn_gallery(task: ImageTask) -> Gallery:
    """All pictures, drawn when they are not there yet."""
    folder = task.work_folder / "gallery"
    with task.progress.counting("draw") as on_drawn:
        config = task.config
        return open_gallery(task.art_folder, folder, config.gallery, config.num_concepts, on_drawn)


def encoded(task: ImageTask, run: Run, gallery: Gallery) -> tuple[AutoencoderKL, Tensor]:
    """The trained, standardised autoencoder and the latents of all pictures."""
    folder = task.work_folder / "autoencoder_standardised"
    latents_path = task.work_folder / "latents.pt"
    if latents_path.exists():
        autoencoder = AutoencoderKL.from_pretrained(folder)
        return autoencoder, torch.load(latents_path, weights_only=True)
    autoencoder = trained_autoencoder(task, run, gallery)
    with task.progress.counting("encode pictures") as on_encoded:
        latents = encode_all(autoencoder, gallery.images, on_encoded=on_encoded)
    standardise(autoencoder, latents)
    mean, std = latents.mean(dim=(0, 2, 3), keepdim=True), latents.std(dim=(0, 2, 3), keepdim=True)
    latents = (latents - mean) / std
    autoencoder.save_pretrained(folder)
    torch.save(latents, latents_path)
    return autoencoder, latents


def trained_autoencoder(task: ImageTask, run: Run, gallery: Gallery) -> AutoencoderKL:
    """The average weights at the end of training."""
    config = task.config.autoencoder
    loss = AutoencoderLoss(gallery.images, _seen_rows(gallery), config)
    with training(task, run, "autoencoder") as observers:
        loop = task.config.autoencoder_loop
        trainer = Trainer(build_autoencoder(config), loss, loop, observer=observers)
        trainer.run(task.work_folder / "vae")
    run.summary({"autoencoder_seconds": trainer.seconds, "autoencoder_steps": trainer.step})
    return trainer.average


def refined_decoder(
    task: ImageTask, run: Run, gallery: Gallery, autoencoder: AutoencoderKL, latents: Tensor
) -> AutoencoderKL:
    """The autoencoder with its decoder trained further on noisy latents, its encoder as it was."""
    autoencoder.requires_grad_(True)  # an average, as it comes from training, learns nothing
    autoencoder.encoder.requires_grad_(False)
    autoencoder.quant_conv.requires_grad_(False)
    autoencoder.to(memory_format=torch.channels_last)
    loss = DecoderLoss(gallery.images, latents, _seen_rows(gallery), task.config.autoencoder)
    with training(task, run, "decoder") as observers:
        trainer = Trainer(autoencoder, loss, task.config.decoder_loop, observer=observers)
        trainer.run(task.work_folder / "decoder")
    run.summary({"decoder_seconds": trainer.seconds, "decoder_steps": trainer.step})
    return trainer.average


def caption_cache(task: ImageTask, table: CaptionTable) -> CaptionCache:
    """The encoded captions, from the work folder when they are there."""
    path = task.work_folder / "captions.pt"
    if path.exists():
        return CaptionCache.load(path)
    with task.progress.counting("encode captions") as on_encoded:
        encoder = TextEncoder(task.encoder_folder)
        cache = CaptionCache.encode(encoder, table.texts, on_encoded=on_encoded)
    cache.save(path)
    return cache


def trained_denoiser(
    task: ImageTask, run: Run, samples: Samples, captions: CaptionCache
) -> UNet2DConditionModel:
    """The average weights at the end of training."""
    config = task.config
    loss = DenoiserLoss(samples, captions, config.denoiser)
    with training(task, run, "denoiser") as observers:
        module = build_denoiser(config.denoiser)
        trainer = Trainer(module, loss, config.denoiser_loop, observer=observers)
        trainer.run(task.work_folder / "unet")
    run.summary(
        {
            "denoiser_seconds": trainer.seconds,
            "denoiser_steps": trainer.step,
            "samples": trainer.step * config.denoiser.batch_size,
        }
    )
    return trainer.average


def draw_contact_sheet(task: ImageTask) -> Path:
    """Sample the written model on the recipe's prompts; path of the picture."""
    config = task.config
    encoder = TextEncoder(task.encoder_folder)
    models = read_model(task.out_folder)
    images = sample_images(
        models, encoder, config.sheet_prompts, config.sheet_seeds, config.sampling
    )
    path = task.work_folder / SHEET_NAME
    contact_sheet(config.sheet_prompts, images).save(path)
    return path


def autoencoder_facts(gallery: Gallery, autoencoder: AutoencoderKL) -> dict[str, JSON]:
    """How well drawings survive the round trip, those of seen and of unseen concepts."""
    drawn_plain = [p for p in gallery.pictures if p.variant == 0]
    unseen = [p.image_idx for p in drawn_plain if p.is_held_out]
    seen = [p.image_idx for p in drawn_plain if not p.is_held_out][: max(1, len(unseen))]
    facts: dict[str, JSON] = {
        "num_held_out": len(unseen),
        "psnr_db_seen": psnr_db(autoencoder, gallery.images[seen]),
    }
    if unseen:
        facts["psnr_db_held_out"] = psnr_db(autoencoder, gallery.images[unseen])
    return facts


def model_facts(
    folder: Path, autoencoder: AutoencoderKL, denoiser: UNet2DConditionModel
) -> dict[str, JSON]:
    """Sizes of what was written."""
    return {
        "autoencoder_parameters": sum(p.numel() for p in autoencoder.parameters()),
        "denoiser_parameters": sum(p.numel() for p in denoiser.parameters()),
        "shipped_bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    }


@contextmanager
def training(task: ImageTask, run: Run, stage: str) -> Iterator[Observers]:
    """Whoever hears of the steps of this stage: the bar and the tracked run."""
    with task.progress.training(stage) as observer:
        yield Observers(observer, RunLog(run, prefix=f"{stage}."))


def open_run(task: ImageTask) -> Run:
    """A new tracked run, or the one that a stopped training of this work folder began."""
    note = task.work_folder / "run.txt"
    if note.exists():
        folder = Path(note.read_text(encoding="utf-8"))
        if folder.is_dir():
            return resume_run(folder, sinks=task.sinks)
    run = start_run(
        task.runs_folder,
        command=COMMAND,
        name=task.config.name,
        config=recipe(task.config),
        sinks=task.sinks,
    )
    note.write_text(str(run.folder.resolve()), encoding="utf-8")
    return run


def check_same_recipe(task: ImageTask) -> None:
    """A work folder belongs to one recipe; another must not continue its checkpoints."""
    path, wanted = task.work_folder / "recipe.json", recipe(task.config)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(wanted), encoding="utf-8")
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    changed = [key for key, value in wanted.items() if stored.get(key) != value]
    if changed:
        raise ConfigError(
            f"{task.work_folder} was begun with another {', '.join(changed)}; give a new --work "
            "or delete that folder"
        )


def recipe(config: TrainImageConfig) -> Mapping[str, JSON]:
    """As JSON holds it: tuples are lists."""
    values: dict[str, JSON] = json.loads(json.dumps(asdict(config)))
    return values


def _seen_rows(gallery: Gallery) -> npt.NDArray[np.int64]:
    return np.array([p.image_idx for p in gallery.pictures if not p.is_held_out])
