"""The layout of Stable Diffusion 1.x folders: CLIP text encoder, U-Net, VAE."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from transformers import CLIPTextModel, CLIPTokenizer

from loadsheet.engine.image.component import (
    check_classes,
    load_module,
    load_tokenizer,
    num_weight_bytes,
)
from loadsheet.engine.image.latent_unet import load_latent_unet
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.text_encoder import ClipTextEncoder, PromptTokenizer
from loadsheet.engine.torch_device import Placement

_CLASSES = {
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
}


def load_stable_diffusion(
    folder: Path, model_index: Mapping[str, object], placement: Placement
) -> ImagePipeline:
    """Published defaults: 7.5 guidance; 30 Euler steps look like the 50 of the first samplers."""
    check_classes(model_index, _CLASSES)
    image = load_latent_unet(folder, placement)
    load = partial(CLIPTextModel.from_pretrained, dtype=placement.dtype)
    model: CLIPTextModel = load_module(load, folder / "text_encoder", placement)
    tokenizer = PromptTokenizer(
        load_tokenizer(CLIPTokenizer.from_pretrained, folder / "tokenizer"),
        max_tokens=model.config.max_position_embeddings,
        device=placement.device,
    )
    return ImagePipeline(
        placement=placement,
        encode=ClipTextEncoder(tokenizer, model),
        denoise=image.denoise,
        decoder=image.decoder,
        sampling=image.sampling,
        sizes=image.sizes_up_to_native(),
        default_num_steps=30,
        default_guidance_scale=7.5,
        weight_bytes={
            "text_encoder": num_weight_bytes(model),
            "unet": image.unet_bytes,
            "vae": image.vae_bytes,
        },
    )
