"""One adaptation of a diffusion model, from pictures to a folder that serves, scored and tracked.

    base pipeline ─► latents and caption states, once ─► training ─► folder on disk
                                                                        └─► read back, drawn, judged

The base, the pictures and the judges are given; see `image_run` for where they come from.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from loadsheet.adapt.adaptation_method import AdaptationMethod
from loadsheet.adapt.adapter_folder import AdapterCard, write_adapter
from loadsheet.adapt.denoiser_adaptation import (
    AdaptationConfig,
    AdaptedDenoiser,
    adapt_denoiser,
    denoising_loss,
)
from loadsheet.adapt.encoded_images import EncodedImages
from loadsheet.adapt.loop import LoopConfig
from loadsheet.adapt.noising import noising_of
from loadsheet.adapt.observer import TrainingObserver
from loadsheet.adapt.peak_memory import peak_memory
from loadsheet.adapt.tuned_folder import write_tuned_folder
from loadsheet.engine.image.lora_file import lora_path
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import resolve_placement
from loadsheet.track import JSON

PROBE_BATCH = 32
ADAPTER_NAME = "adapted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAdaptationConfig:
    """`learning_rate` None takes the method's own."""

    method: AdaptationMethod
    seed: int = 0
    num_steps: int = 400
    batch_size: int = 16
    learning_rate: float | None = None

    @property
    def rate(self) -> float:
        return (
            self.method.default_learning_rate
            if self.learning_rate is None
            else (self.learning_rate)
        )

    def training(self) -> AdaptationConfig:
        loop = LoopConfig(
            num_steps=self.num_steps,
            learning_rate=self.rate,
            warmup_steps=max(1, min(50, self.num_steps // 10)),
            weight_decay=0.01 if self.method.kind != "lora" else 0.0,
            ema_decay=0.99,
            checkpoint_every=100,
            log_every=25,
            seed=self.seed,
        )
        return AdaptationConfig(method=self.method, loop=loop, batch_size=self.batch_size)

    def record(self) -> dict[str, JSON]:
        """What is stored with a run."""
        return {
            "method": self.method.name,
            "seed": self.seed,
            "num_steps": self.num_steps,
            "batch_size": self.batch_size,
            "learning_rate": self.rate,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The model that is adapted: its folder, and what it is called."""

    folder: Path
    name: str
    device: str = "auto"

    def open(self, dtype: str = "auto") -> ImagePipeline:
        """Training wants fp32 weights (computed in bf16 by autocast); drawing the native dtype."""
        return open_pipeline(self.folder, resolve_placement(self.device, dtype))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What came out: a folder, what it took, and what the base lost on `probe` pictures."""

    folder: Path
    denoiser: AdaptedDenoiser
    shipped_bytes: int
    peak_memory_bytes: int
    base_loss_before: float
    base_loss_after: float

    def record(self) -> dict[str, JSON]:
        """The part of a run's summary that needs no judge."""
        denoiser = self.denoiser
        rise = self.base_loss_after / self.base_loss_before - 1
        return {
            "trainable_parameters": denoiser.trainable_parameters,
            "total_parameters": denoiser.total_parameters,
            "seconds": denoiser.seconds,
            "s_per_step": denoiser.s_per_step,
            "peak_memory_bytes": self.peak_memory_bytes,
            "shipped_bytes": self.shipped_bytes,
            "base_loss_before": self.base_loss_before,
            "base_loss_after": self.base_loss_after,
            "base_forgetting": rise,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is learnt from, what must not be forgotten, and where the result goes."""

    train: EncodedImages
    probe: EncodedImages
    card: AdapterCard
    out_folder: Path
    checkpoint_folder: Path | None = None


def adapt_image(
    base: Base,
    lesson: Lesson,
    config: ImageAdaptationConfig,
    observer: TrainingObserver | None = None,
) -> Adapted:
    """Train and write the folder: an adapter's for LoRA, a whole pipeline's otherwise."""
    pipeline = base.open("fp32")
    before = probe_loss(pipeline, lesson.probe)
    with peak_memory(pipeline.placement.device) as peak_bytes:
        adapted = adapt_denoiser(
            pipeline,
            lesson.train,
            config.training(),
            folder=lesson.checkpoint_folder,
            observer=observer,
        )
        peak = peak_bytes()
    if config.method.kind == "lora":
        shipped = write_adapter(lesson.out_folder, adapted.unet, base.folder, lesson.card)
    else:
        shipped = write_tuned_folder(lesson.out_folder, adapted.unet, base.folder)
    pipeline.denoise.unet = adapted.unet
    return Adapted(
        folder=lesson.out_folder,
        denoiser=adapted,
        shipped_bytes=shipped.stat().st_size,
        peak_memory_bytes=peak,
        base_loss_before=before,
        base_loss_after=probe_loss(pipeline, lesson.probe),
    )


def reopen(base: Base, folder: Path) -> tuple[ImagePipeline, str | None]:
    """What was written, as a server loads it: a pipeline, and the adapter it is to wear."""
    if lora_path(folder).exists():
        pipeline = base.open()
        pipeline.denoise.adapters.load(ADAPTER_NAME, folder)
        return pipeline, ADAPTER_NAME
    return Base(folder=folder, name=base.name, device=base.device).open(), None


@torch.no_grad()
def probe_loss(pipeline: ImagePipeline, probe: EncodedImages) -> float:
    """Mean denoising loss over the probe, every picture once, always with the same noise."""
    noising, total, count = noising_of(pipeline.sampling), 0.0, len(probe.latents_NChw)
    generator = torch.Generator().manual_seed(0)
    for start in range(0, count, PROBE_BATCH):
        rows = range(start, min(start + PROBE_BATCH, count))
        captions = [int(probe.caption_idx[row][0]) for row in rows]
        x0_BCHW = probe.latents_NChw[list(rows)]
        states = probe.states.batch(captions)
        loss = denoising_loss(pipeline.denoise.unet, noising, x0_BCHW, states, generator)
        total += float(loss) * len(rows)
    return total / count
