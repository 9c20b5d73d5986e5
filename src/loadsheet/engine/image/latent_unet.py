"""The image half of a pipeline folder: U-Net, VAE and noise, which several layouts share."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diffusers import AutoencoderKL, UNet2DConditionModel

from loadsheet.engine.image.component import load_module, num_weight_bytes, read_json
from loadsheet.engine.image.denoiser import UNetDenoiser
from loadsheet.engine.image.latent_decoder import LatentDecoder
from loadsheet.engine.image.pipeline import Size
from loadsheet.engine.image.scheduler_config import Sampling, read_sampling
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentUNet:
    """`size_stride`: sides must be multiples of it for every level of U-Net and VAE to halve."""

    denoise: UNetDenoiser
    decoder: LatentDecoder
    sampling: Sampling
    native_size: Size
    size_stride: int
    unet_bytes: int
    vae_bytes: int

    def sizes_up_to_native(self) -> tuple[Size, ...]:
        """The native size, then all others from half of it that fit the stride."""
        widths, heights = (
            range(-(-side // 2 // self.size_stride) * self.size_stride, side + 1, self.size_stride)
            for side in self.native_size
        )
        others = ((w, h) for w in widths for h in heights if (w, h) != self.native_size)
        return (self.native_size, *others)


def load_latent_unet(folder: Path, placement: Placement) -> LatentUNet:
    """Reads `unet/`, `vae/` and `scheduler/` of a pipeline folder."""
    sampling = read_sampling(read_json(folder / "scheduler" / "scheduler_config.json"))
    # low_cpu_mem_usage would need the accelerate package
    options = {"torch_dtype": placement.dtype, "low_cpu_mem_usage": False}
    unet: UNet2DConditionModel = load_module(
        partial(UNet2DConditionModel.from_pretrained, **options), folder / "unet", placement
    )
    vae: AutoencoderKL = load_module(
        partial(AutoencoderKL.from_pretrained, **options), folder / "vae", placement
    )
    decoder = LatentDecoder(vae)
    _check_channels(unet, decoder)
    return LatentUNet(
        denoise=UNetDenoiser(unet),
        decoder=decoder,
        sampling=sampling,
        native_size=_native_size(unet, decoder),
        size_stride=decoder.factor * 2 ** (len(unet.config.block_out_channels) - 1),
        unet_bytes=num_weight_bytes(unet),
        vae_bytes=num_weight_bytes(vae),
    )


def _native_size(unet: UNet2DConditionModel, decoder: LatentDecoder) -> Size:
    """Pixels of the latents that the U-Net was trained on; the config gives a side or a pair."""
    side = unet.config.sample_size
    if side is None:
        raise SpecError("unet/config.json has no sample_size, so the native image size is unknown")
    height, width = (side, side) if isinstance(side, int) else side
    return int(width) * decoder.factor, int(height) * decoder.factor


def _check_channels(unet: UNet2DConditionModel, decoder: LatentDecoder) -> None:
    found = (unet.config.in_channels, unet.config.out_channels)
    if found != (decoder.latent_channels, decoder.latent_channels):
        raise SpecError(
            f"the U-Net takes {found[0]} and gives {found[1]} channels, the VAE has"
            f" {decoder.latent_channels}; inpainting and editing models are not supported"
        )
