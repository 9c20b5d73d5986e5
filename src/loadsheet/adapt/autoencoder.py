"""The image autoencoder: 128×128 pixels to 16×16×8 latents and back, trained on random crops.

Loss = L1 + L2 on pixels, L1 on their gradients (edges are what flat art consists of) and a small KL
term that keeps latents smooth. Flat art repeats locally, so 64×64 crops teach nearly everything at
a quarter of the cost; every fourth step sees whole images, as the middle attention block must.
After training, each latent channel is standardised by folding mean and deviation into the 1×1
convolutions next to the latents, exactly: scaling factor 1.0, shift 0.0.

Shapes: B batch, C channels, H W pixels, h w latent positions.
"""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor

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
    kl_weight: float = 1e-4
    edge_weight: float = 0.5


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
    """The training loss on batches drawn from a stack of images; callable as a LossFn."""

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
        x_BCHW = to_pixels(self._batch(step, generator))
        posterior = module.encode(x_BCHW).latent_dist
        z_BChw = posterior.mean + posterior.std * _normal_like(posterior.mean, generator)
        y_BCHW = module.decode(z_BChw).sample.float()
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1.0 - posterior.logvar).float().mean()
        edges = edge_loss(y_BCHW, x_BCHW)
        error = y_BCHW - x_BCHW
        pixels = error.abs().mean() + error.square().mean()
        loss: Tensor = pixels + self.config.edge_weight * edges + self.config.kl_weight * kl
        return loss

    def _batch(self, step: int, generator: torch.Generator) -> npt.NDArray[np.uint8]:
        config = self.config
        is_whole = step % config.whole_every == config.whole_every - 1
        shrink = (config.image_size // config.crop_size) ** 2
        count = config.batch_size // shrink if is_whole else config.batch_size
        picks = torch.randint(len(self.rows), (count,), generator=generator).numpy()
        if is_whole:
            return np.stack([self.images[row] for row in self.rows[picks]])
        room = config.image_size - config.crop_size + 1
        corners = torch.randint(room, (count, 2), generator=generator).tolist()
        side = config.crop_size
        return np.stack(
            [
                self.images[row, top : top + side, left : left + side]
                for row, (top, left) in zip(self.rows[picks], corners, strict=True)
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
    autoencoder: AutoencoderKL, images: npt.NDArray[np.uint8], batch_size: int = 32
) -> Tensor:
    """Posterior means of all images: float [N, C, h, w]."""
    autoencoder.eval()
    chunks = []
    for start in range(0, len(images), batch_size):
        with torch.autocast("cpu", torch.bfloat16):
            x_BCHW = to_pixels(images[start : start + batch_size])
            chunks.append(autoencoder.encode(x_BCHW).latent_dist.mean.float())
    return torch.cat(chunks)


@torch.no_grad()
def psnr_db(autoencoder: AutoencoderKL, images: npt.NDArray[np.uint8]) -> float:
    """Mean over images of 10 log10(255^2 / MSE) between image and reconstruction, 8-bit scale."""
    autoencoder.eval()
    values = []
    for image in images:
        x_BCHW = to_pixels(image[None])
        y_BCHW = autoencoder.decode(autoencoder.encode(x_BCHW).latent_dist.mean).sample
        error = (y_BCHW.clamp(-1, 1) - x_BCHW) * 127.5
        values.append(10 * torch.log10(255.0**2 / error.square().mean()))
    return torch.stack(values).mean().item()


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
