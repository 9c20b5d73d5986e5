"""The image autoencoder: 128×128 pixels to 16×16×8 latents and back, trained on random crops.

Loss = L1 on pixels and on their gradients (edges are what flat art consists of), L2 on pixels and
on 8×8 means (without which colours come last: green stayed orange for 2,000 steps), and a small KL
term that keeps latents smooth. Flat art repeats locally, so 64×64 crops teach nearly everything at
a quarter of the cost; every fourth step sees whole images, as the middle attention block must.
After training, each latent channel is standardised by folding mean and deviation into the 1×1
convolutions next to the latents, exactly: scaling factor 1.0, shift 0.0. A second, shorter run then
trains the decoder alone on slightly noisy latents, while the latents the denoiser learns stay put.

Shapes: B batch, C channels, H W pixels, h w latent positions.
"""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from loadsheet.adapt.stage_progress import OnCount, nothing

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderConfig:
    """Architecture and loss weights."""

    image_size: int = 128
    latent_channels: int = 8
    block_out_channels: tuple[int, ...] = (16, 32, 64, 128)
    norm_num_groups: int = 8
    batch_size: int = 16
    crop_size: int = 64
    whole_every: int = 4
    kl_weight: float = 1e-3
    edge_weight: float = 0.5
    square_weight: float = 4.0
    max_latent_noise: float = 0.3

    @property
    def latent_cell(self) -> int:
        """Pixels per latent position along a side."""
        return int(2 ** (len(self.block_out_channels) - 1))


def build_autoencoder(config: AutoencoderConfig) -> AutoencoderKL:
    """A fresh diffusers AutoencoderKL; each level but the last halves the sides."""
    levels = len(config.block_out_channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.block_out_channels,
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_num_groups,
        sample_size=config.image_size,
        scaling_factor=1.0,
        shift_factor=0.0,
    ).to(memory_format=torch.channels_last)


def to_pixels(images_BHWC: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1], channels-last in memory."""
    return torch.from_numpy(np.array(images_BHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


class AutoencoderLoss:
    """The loss of the whole autoencoder on images; callable as a LossFn."""

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.int64],
        config: AutoencoderConfig,
    ) -> None:
        self.images = images
        self.rows = rows
        self.config = config

    def __call__(self, module: AutoencoderKL, step: int, generator: torch.Generator) -> Tensor:
        x_BCHW = to_pixels(cut(self.images, draw_crops(self.rows, step, generator, self.config)))
        posterior = module.encode(x_BCHW).latent_dist
        z_BChw = posterior.mean + posterior.std * _normal_like(posterior.mean, generator)
        y_BCHW = module.decode(z_BChw).sample.float()
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1.0 - posterior.logvar).float().mean()
        loss: Tensor = image_loss(y_BCHW, x_BCHW, self.config) + self.config.kl_weight * kl
        return loss


class DecoderLoss:
    """The loss of the decoder alone on stored latents; callable as a LossFn.

    Latents get noise of up to `max_latent_noise` deviations, so that the decoder also draws well
    what a denoiser, which is never exact, hands it.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        latents_NChw: Tensor,
        rows: npt.NDArray[np.int64],
        config: AutoencoderConfig,
    ) -> None:
        self.images = images
        self.latents_NChw = latents_NChw
        self.rows = rows
        self.config = config

    def __call__(self, module: AutoencoderKL, step: int, generator: torch.Generator) -> Tensor:
        crops = draw_crops(self.rows, step, generator, self.config)
        x_BCHW = to_pixels(cut(self.images, crops))
        z_BChw = _cut_latents(self.latents_NChw, crops, self.config)
        level = self.config.max_latent_noise * torch.rand(len(crops), 1, 1, 1, generator=generator)
        z_BChw = z_BChw + level * _normal_like(z_BChw, generator)
        y_BCHW = module.decode(z_BChw.to(memory_format=torch.channels_last)).sample.float()
        return image_loss(y_BCHW, x_BCHW, self.config)


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of one image, on the grid of latent cells."""

    row: int
    top: int
    left: int
    side: int


def draw_crops(
    rows: npt.NDArray[np.int64], step: int, generator: torch.Generator, config: AutoencoderConfig
) -> list[Crop]:
    """A batch of crops, or on every `whole_every`-th step of as many pixels in whole images."""
    is_whole = step % config.whole_every == config.whole_every - 1
    side = config.image_size if is_whole else config.crop_size
    count = config.batch_size * config.crop_size**2 // side**2
    picks = torch.randint(len(rows), (count,), generator=generator).tolist()
    cell = config.latent_cell
    room = (config.image_size - side) // cell + 1
    corners = (cell * torch.randint(room, (count, 2), generator=generator)).tolist()
    return [
        Crop(int(rows[pick]), top, left, side)
        for pick, (top, left) in zip(picks, corners, strict=True)
    ]


def image_loss(y_BCHW: Tensor, x_BCHW: Tensor, config: AutoencoderConfig) -> Tensor:
    """L1 + L2 + L2 of cell means + L1 of edges, weighted."""
    error_BCHW = y_BCHW - x_BCHW
    coarse = functional.avg_pool2d(error_BCHW, config.latent_cell)
    squares = error_BCHW.square().mean() + coarse.square().mean()
    edges = edge_loss(y_BCHW, x_BCHW)
    pixels = error_BCHW.abs().mean() + config.square_weight * squares
    return pixels + config.edge_weight * edges


def cut(images: npt.NDArray[np.uint8], crops: list[Crop]) -> npt.NDArray[np.uint8]:
    """The pixels of these crops, all of one side: uint8 [B, side, side, 3]."""
    return np.stack(
        [
            images[crop.row, crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
            for crop in crops
        ]
    )


def _cut_latents(latents_NChw: Tensor, crops: list[Crop], config: AutoencoderConfig) -> Tensor:
    cell = config.latent_cell
    return torch.stack(
        [
            latents_NChw[crop.row][
                :,
                crop.top // cell : (crop.top + crop.side) // cell,
                crop.left // cell : (crop.left + crop.side) // cell,
            ]
            for crop in crops
        ]
    )


def edge_loss(y_BCHW: Tensor, x_BCHW: Tensor) -> Tensor:
    """Mean L1 distance of horizontal and vertical pixel differences."""
    error = y_BCHW - x_BCHW
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


@torch.no_grad()
def standardise(autoencoder: AutoencoderKL, latents_NChw: Tensor) -> None:
    """Fold each channel's mean m and deviation s into the neighbouring 1×1 convolutions.

    quant_conv then yields (z - m) / s with logvar - 2 ln s, and post_quant_conv undoes it:
    W z = (W s) z' + W m.
    """
    mean_C = latents_NChw.mean(dim=(0, 2, 3))
    std_C = latents_NChw.std(dim=(0, 2, 3))
    weight, bias = autoencoder.quant_conv.weight, autoencoder.quant_conv.bias
    channels = len(mean_C)
    bias[:channels] = (bias[:channels] - mean_C) / std_C
    bias[channels:] -= 2 * std_C.log()
    weight[:channels] /= std_C[:, None, None, None]
    after = autoencoder.post_quant_conv
    after.bias += after.weight[:, :, 0, 0] @ mean_C
    after.weight *= std_C[None, :, None, None]


@torch.no_grad()
def encode_all(
    autoencoder: AutoencoderKL,
    images: npt.NDArray[np.uint8],
    batch_size: int = 8,
    on_encoded: OnCount = nothing,
) -> Tensor:
    """Posterior means of all images: float [N, C, h, w]."""
    autoencoder.eval()
    chunks = []
    for start in range(0, len(images), batch_size):
        with torch.autocast("cpu", torch.bfloat16):
            x_BCHW = to_pixels(images[start : start + batch_size])
            chunks.append(autoencoder.encode(x_BCHW).latent_dist.mean.float())
        on_encoded(start + len(x_BCHW), len(images))
    return torch.cat(chunks)


@torch.no_grad()
def psnr_db(autoencoder: AutoencoderKL, images: npt.NDArray[np.uint8]) -> float:
    """Mean PSNR over images of the round trip through the posterior mean."""
    autoencoder.eval()
    values = []
    for image in images:
        x_BCHW = to_pixels(image[None])
        y_BCHW = autoencoder.decode(autoencoder.encode(x_BCHW).latent_dist.mean).sample
        values.append(peak_signal_to_noise_db(y_BCHW, x_BCHW))
    return torch.cat(values).mean().item()


def peak_signal_to_noise_db(y_BCHW: Tensor, x_BCHW: Tensor) -> Tensor:
    """10 log10(255^2 / MSE) per image [B], on the 8-bit scale; both in [-1, 1]."""
    error = (y_BCHW.float().clamp(-1, 1) - x_BCHW) * 127.5
    return 10 * torch.log10(255.0**2 / error.square().mean(dim=(1, 2, 3)))


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
