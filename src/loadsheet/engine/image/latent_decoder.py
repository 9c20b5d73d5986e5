"""From latents to pixels: the decoder half of an AutoencoderKL.

Shapes: B batch, C latent channels, h w latent positions, H W pixels.
"""

import numpy as np
import numpy.typing as npt
from diffusers import AutoencoderKL
from torch import Tensor


class LatentDecoder:
    """Calls the VAE on float32 latents; returns float32 pixels [B, 3, H, W] around [-1, 1].

    Latents are (z − shift) · scale of the VAE's own z.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae
        config = vae.config
        self.scale = float(config.scaling_factor)
        self.shift = float(config.shift_factor or 0.0)
        self._widths = tuple(int(width) for width in config.block_out_channels)
        self._dtype = next(vae.parameters()).dtype
        self.latent_channels = int(config.latent_channels)
        self.factor = 2 ** (len(self._widths) - 1)  # each level but the last doubles the sides

    def __call__(self, latents_BChw: Tensor) -> Tensor:
        z_BChw = latents_BChw / self.scale + self.shift
        return self._decode(z_BChw)

    def _decode(self, z_BChw: Tensor) -> Tensor:
        x_BCHW: Tensor = self.vae.decode(z_BChw.to(self._dtype), return_dict=False)[0]
        return x_BCHW.float()

    def peak_bytes(self, width: int, height: int, batch: int) -> int:
        """Largest activations of one decode, estimated: four maps of the full size.

        The last level starts from the channels of the level before it. Its first residual block
        holds its input, the normalised and the activated map at once: 3.1 maps counted for SD's
        and our own widths. The fourth is room for a convolution's workspace.
        """
        channels: int = self._widths[min(1, len(self._widths) - 1)]
        itemsize: int = self._dtype.itemsize
        return 4 * batch * channels * width * height * itemsize


def to_pixels(x_CHW: Tensor) -> npt.NDArray[np.uint8]:
    """[-1, 1] → uint8 [H, W, 3]; values outside are clipped, as every image format does."""
    levels_HWC = ((x_CHW / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    pixels: npt.NDArray[np.uint8] = levels_HWC.contiguous().cpu().numpy()
    return pixels
