"""f4, f8 and f16 autoencoders, with KL and with vector-quantised latents, on the same pictures.

    python benchmarks/image_autoencoders.py --run FOLDER [--steps 700] [--judge FOLDER]

Six autoencoders of one family (16-32-64-128 channels, one more level per halving, half as many
latent numbers per picture each time) see the same crops for equally many steps. Then, on pictures
of concepts that none has seen: PSNR, and how often a judge still names the right concept. Beside it
what the denoiser of the default model would cost on such latents (FLOPs from loadsheet.cost, 20
steps with guidance) and what the decoder adds. Every arm resumes; results land in
benchmarks/results.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, VQModel
from torch import Tensor, nn

from loadsheet.adapt.art import default_art_folder
from loadsheet.adapt.autoencoder import (
    AutoencoderConfig,
    AutoencoderLoss,
    build_autoencoder,
    cut,
    draw_crops,
    image_loss,
    peak_signal_to_noise_db,
    to_pixels,
)
from loadsheet.adapt.denoiser import DenoiserConfig, build_denoiser
from loadsheet.adapt.gallery import Gallery, GalleryConfig, open_gallery
from loadsheet.adapt.icon_classifier import IconClassifier
from loadsheet.adapt.image_cost import decode_flops, denoiser_flops, encode_flops
from loadsheet.adapt.judges import HELD_OUT_VARIANT, mark
from loadsheet.adapt.loop import LoopConfig, Trainer
from loadsheet.track.environment import describe_environment, source_commit

KINDS, FACTORS = ("KL", "VQ"), (4, 8, 16)
CHANNELS = (16, 32, 64, 128, 128)
NUM_CODES, CODE_WIDTH = 2048, 4
UNQUANTISED_STEPS = 100
SIDE, TEXT_TOKENS, DENOISE_STEPS = 128, 32, 20
SHARED = AutoencoderConfig(batch_size=6)
"""Crops and losses, the same for all arms: six crops of 64×64, f8 cells for coarse colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One autoencoder. A KL latent has as many channels as its factor; a code has four."""

    kind: str
    factor: int

    @property
    def name(self) -> str:
        return f"{self.kind.lower()}-f{self.factor}"

    @property
    def latent_channels(self) -> int:
        return self.factor if self.kind == "KL" else CODE_WIDTH

    @property
    def channels(self) -> tuple[int, ...]:
        return CHANNELS[: self.factor.bit_length()]


class CodebookLoss:
    """The autoencoder's image loss plus the codebook's own, as a LossFn.

    A codebook drawn at random dies: nearly all latents choose one of a few codes. So the first
    steps leave latents as they are, and then the codebook is filled with latents of one batch.
    """

    def __init__(self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> None:
        self.images = images
        self.rows = rows

    def __call__(self, module: VQModel, step: int, generator: torch.Generator) -> Tensor:
        crops = draw_crops(self.rows, step, generator, SHARED)
        x_BCHW = to_pixels(cut(self.images, crops))
        h_BChw = module.encode(x_BCHW).latents.float()
        if step == UNQUANTISED_STEPS:
            fill_codebook(module, h_BChw, generator)
        decoded = module.decode(h_BChw, force_not_quantize=step < UNQUANTISED_STEPS)
        loss: Tensor = image_loss(decoded.sample.float(), x_BCHW, SHARED)
        return loss + decoded.commit_loss.mean()


@torch.no_grad()
def fill_codebook(module: VQModel, h_BChw: Tensor, generator: torch.Generator) -> None:
    """Codes := latents drawn from this batch, a little apart where one is drawn twice."""
    codes_ND = h_BChw.permute(0, 2, 3, 1).reshape(-1, CODE_WIDTH)
    picks = torch.randint(len(codes_ND), (NUM_CODES,), generator=generator)
    noise = torch.randn(NUM_CODES, CODE_WIDTH, generator=generator)
    module.quantize.embedding.weight.copy_(codes_ND[picks] + 0.01 * codes_ND.std() * noise)


def build(arm: Arm) -> AutoencoderKL | VQModel:
    """A fresh autoencoder; the weights of levels that two arms share differ only by their draw."""
    torch.manual_seed(0)
    if arm.kind == "KL":
        shape = {"block_out_channels": arm.channels, "latent_channels": arm.latent_channels}
        return build_autoencoder(replace(SHARED, **shape))
    levels = len(arm.channels)
    return VQModel(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=arm.channels,
        layers_per_block=1,
        latent_channels=CODE_WIDTH,
        num_vq_embeddings=NUM_CODES,
        norm_num_groups=SHARED.norm_num_groups,
        sample_size=SIDE,
        scaling_factor=1.0,
    ).to(memory_format=torch.channels_last)


def train(arm: Arm, gallery: Gallery, folder: Path, num_steps: int) -> dict[str, float]:
    """Train into `folder`/weights, or find it trained; what that took."""
    done = folder / "trained.json"
    if done.exists():
        return json.loads(done.read_text())
    rows = np.array([p.image_idx for p in gallery.pictures if not p.is_held_out])
    is_kl = arm.kind == "KL"
    loss = (
        AutoencoderLoss(gallery.images, rows, SHARED)
        if is_kl
        else CodebookLoss(gallery.images, rows)
    )
    loop = LoopConfig(num_steps=num_steps, learning_rate=2e-3, ema_decay=0.99, checkpoint_every=100)
    trainer = Trainer(build(arm), loss, loop)
    trainer.run(folder)
    trainer.average.save_pretrained(folder / "weights")
    facts = {"seconds": trainer.seconds, "steps": trainer.step}
    done.write_text(json.dumps(facts))
    return facts


@torch.no_grad()
def reconstruct(module: nn.Module, images: npt.NDArray[np.uint8]) -> tuple[Tensor, int]:
    """Round trips in float32 [N, 3, H, W], and how many codes of a codebook they use."""
    made, codes = [], set()
    for image in images:
        x_BCHW = to_pixels(image[None])
        if isinstance(module, VQModel):
            h_BChw = module.encode(x_BCHW).latents
            codes |= set(module.quantize(h_BChw)[2][2].flatten().tolist())
        else:
            h_BChw = module.encode(x_BCHW).latent_dist.mean
        made.append(module.decode(h_BChw).sample.clamp(-1, 1))
    return torch.cat(made), len(codes)


def evaluate(arm: Arm, gallery: Gallery, folder: Path, judge: IconClassifier | None) -> dict:
    """Reconstruction of unseen concepts, and what a picture costs on such latents."""
    kind = AutoencoderKL if arm.kind == "KL" else VQModel
    module = kind.from_pretrained(folder / "weights").eval()
    plain = [p for p in gallery.pictures if p.is_held_out and p.variant == 0]
    images = gallery.images[[p.image_idx for p in plain]]
    made_BCHW, num_codes = reconstruct(module, images)
    psnr_db = peak_signal_to_noise_db(made_BCHW, to_pixels(images)).mean().item()
    facts = {"psnr_db": psnr_db, "num_pictures": len(plain), **cost(arm, module)}
    if arm.kind == "VQ":
        facts["codes_used"] = num_codes
    if judge is not None:
        facts |= judged(module, gallery, judge)
    return facts


def judged(module: nn.Module, gallery: Gallery, judge: IconClassifier) -> dict[str, float]:
    """How often the judge names unseen drawings, and the same drawings after the round trip."""
    number = {label: idx for idx, label in enumerate(judge.labels)}
    asked = [
        p
        for p in gallery.pictures
        if p.is_held_out and p.style.is_default and p.variant == HELD_OUT_VARIANT
    ]
    images = gallery.images[[p.image_idx for p in asked]]
    label_idx = [number[p.concept.name] for p in asked]
    made_BCHW, _ = reconstruct(module, images)
    made = ((made_BCHW + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return {
        "judge_top1_real": mark(judge, images, label_idx).top1,
        "judge_top1_round_trip": mark(judge, made, label_idx).top1,
    }


@torch.no_grad()
def cost(arm: Arm, module: nn.Module) -> dict[str, float]:
    """FLOPs from the cost model; seconds of one thread in bfloat16, best of three."""
    side = SIDE // arm.factor
    config = DenoiserConfig(sample_size=side, latent_channels=arm.latent_channels)
    denoiser = build_denoiser(config).eval()
    step = 2 * denoiser_flops(denoiser, SIDE, arm.factor, TEXT_TOKENS)
    latents = torch.randn(2, arm.latent_channels, side, side)
    text = torch.randn(2, TEXT_TOKENS, 384)

    def denoise() -> None:
        denoiser(latents, 500, encoder_hidden_states=text, class_labels=torch.randn(2, 384))

    step_s, decode_s = best_s(denoise), best_s(lambda: module.decode(latents[:1]))
    decode = decode_flops(module, SIDE)
    return {
        "latent_numbers": arm.latent_channels * side**2,
        "autoencoder_parameters": sum(p.numel() for p in module.parameters()),
        "encode_flops": encode_flops(module, SIDE),
        "decode_flops": decode,
        "step_flops": step,
        "image_flops": DENOISE_STEPS * step + decode,
        "step_s": step_s,
        "decode_s": decode_s,
        "image_s": DENOISE_STEPS * step_s + decode_s,
    }


def best_s(work: object, rounds: int = 3) -> float:
    """CPU seconds of the fastest of `rounds`, after one that is not counted."""
    times = []
    for _ in range(rounds + 1):
        started_s = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            work()
        times.append(time.process_time() - started_s)
    return min(times[1:])


def write_report(folder: Path, rows: Sequence[dict]) -> None:
    """After every arm, so that a stopped run leaves what it found."""
    report = {
        "date": date.today().isoformat(),
        "commit": source_commit(),
        "environment": describe_environment(),
        "shared": asdict(SHARED),
        "arms": rows,
    }
    path = folder / f"image_autoencoders_{date.today().isoformat()}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="checkpoints and the gallery")
    parser.add_argument("--gallery", type=Path, help="a drawn gallery (default: in --run)")
    parser.add_argument("--art", type=Path, default=default_art_folder())
    parser.add_argument("--judge", type=Path, help="a judge's folder, to mark the round trips")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    gallery = open_gallery(args.art, args.gallery or args.run / "gallery", GalleryConfig())
    judge = IconClassifier.load(args.judge) if args.judge else None
    rows = []
    for arm in [Arm(kind=kind, factor=factor) for kind in KINDS for factor in FACTORS]:
        folder = args.run / arm.name
        trained = train(arm, gallery, folder, args.steps)
        rows.append(asdict(arm) | trained | evaluate(arm, gallery, folder, judge))
        print(json.dumps(rows[-1]), flush=True)
        write_report(args.out, rows)


if __name__ == "__main__":
    main()
