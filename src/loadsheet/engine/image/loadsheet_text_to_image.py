"""The layout of our own folders: MiniLM text encoder, U-Net, VAE, rectified flow.

What diffusers has no place for stands in model_index.json under "loadsheet":

    {"default_num_steps": 20, "default_guidance_scale": 4.0, "text_max_length": 32,
     "conditioning": "minilm-tokens+pooled", "native_size": [128, 128]}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transformers import BertModel, BertTokenizerFast

from loadsheet.engine.image.component import (
    check_classes,
    load_module,
    load_tokenizer,
    num_weight_bytes,
)
from loadsheet.engine.image.latent_unet import load_latent_unet
from loadsheet.engine.image.pipeline import ImagePipeline, Size
from loadsheet.engine.image.text_encoder import MiniLMTextEncoder, PromptTokenizer
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import SpecError

_CLASSES = {
    "text_encoder": "BertModel",
    "tokenizer": "BertTokenizerFast",
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
}
_CONDITIONING = "minilm-tokens+pooled"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    default_num_steps: int
    default_guidance_scale: float
    text_max_length: int
    native_size: Size


def load_loadsheet(
    folder: Path, model_index: Mapping[str, object], placement: Placement
) -> ImagePipeline:
    """Only the native size: the network was trained on nothing else."""
    check_classes(model_index, _CLASSES)
    settings = read_settings(model_index)
    image = load_latent_unet(folder, placement)
    if settings.native_size != image.native_size:
        raise SpecError(
            f"model_index.json says native_size {settings.native_size},"
            f" unet and vae make {image.native_size}"
        )
    # the pooler is not used, and its weights need not be in the folder
    load = partial(BertModel.from_pretrained, dtype=placement.dtype, add_pooling_layer=False)
    model: BertModel = load_module(load, folder / "text_encoder", placement)
    tokenizer = PromptTokenizer(
        load_tokenizer(BertTokenizerFast.from_pretrained, folder / "tokenizer"),
        max_tokens=settings.text_max_length,
        device=placement.device,
    )
    return ImagePipeline(
        placement=placement,
        encode=MiniLMTextEncoder(tokenizer, model),
        denoise=image.denoise,
        decoder=image.decoder,
        sampling=image.sampling,
        sizes=(image.native_size,),
        default_num_steps=settings.default_num_steps,
        default_guidance_scale=settings.default_guidance_scale,
        weight_bytes={
            "text_encoder": num_weight_bytes(model),
            "unet": image.unet_bytes,
            "vae": image.vae_bytes,
        },
    )


def read_settings(model_index: Mapping[str, object]) -> FolderSettings:
    """The "loadsheet" object of a model_index.json."""
    match model_index.get("loadsheet"):
        case {
            "default_num_steps": int(num_steps),
            "default_guidance_scale": int() | float() as guidance_scale,
            "text_max_length": int(text_max_length),
            "conditioning": str(conditioning),
            "native_size": [int(width), int(height)],
        }:
            pass
        case found:
            raise SpecError(
                'model_index.json needs "loadsheet" with default_num_steps,'
                " default_guidance_scale, text_max_length, conditioning and native_size;"
                f" found {found!r}"
            )
    if conditioning != _CONDITIONING:
        raise SpecError(f"conditioning is {conditioning!r}; supported is {_CONDITIONING!r}")
    return FolderSettings(
        default_num_steps=num_steps,
        default_guidance_scale=float(guidance_scale),
        text_max_length=text_max_length,
        native_size=(width, height),
    )
