"""The layout of Stable Diffusion XL folders: two CLIP text encoders, a U-Net that is told sizes.

    tokens      penultimate hidden states of both encoders side by side, [B, T, D1 + D2]
    text_embeds the projected summary of the second encoder
    time_ids    original size, top-left corner of the crop, target size: (h, w, 0, 0, h, w)

(Podell et al. 2023, arXiv 2307.01952.) An unconditional branch without a negative prompt is all
zeros when the folder says `force_zeros_for_empty_prompt`, as its networks were trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from loadsheet.engine.image.component import (
    check_classes,
    load_module,
    load_tokenizer,
    num_weight_bytes,
)
from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.latent_unet import LatentUNet, load_latent_unet
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.text_encoder import PromptTokenizer
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import SpecError

_CLASSES = {
    "text_encoder": "CLIPTextModel",
    "text_encoder_2": "CLIPTextModelWithProjection",
    "tokenizer": "CLIPTokenizer",
    "tokenizer_2": "CLIPTokenizer",
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
}
_NUM_TIME_IDS = 6


def load_stable_diffusion_xl(
    folder: Path, model_index: Mapping[str, object], placement: Placement
) -> ImagePipeline:
    """Published defaults: guidance 5; 30 Euler steps look like the 50 of the first samplers."""
    check_classes(model_index, _CLASSES)
    image = load_latent_unet(folder, placement)
    encoder = _load_encoder(folder, model_index, placement)
    _check_widths(image, encoder)
    return ImagePipeline(
        placement=placement,
        encode=encoder,
        denoise=image.denoise,
        decoder=image.decoder,
        sampling=image.sampling,
        sizes=image.sizes_up_to_native(),
        default_num_steps=30,
        default_guidance_scale=5.0,
        weight_bytes={
            "text_encoder": num_weight_bytes(encoder.first),
            "text_encoder_2": num_weight_bytes(encoder.second),
            "unet": image.unet_bytes,
            "vae": image.vae_bytes,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class XLTextEncoder:
    """Prompts to tokens, summary and time ids. `has_zero_empty`: see the module's text."""

    first: CLIPTextModel
    second: CLIPTextModelWithProjection
    tokenizers: tuple[PromptTokenizer, PromptTokenizer]
    has_zero_empty: bool

    def __call__(self, prompts: Prompts) -> Conditioning:
        first_ids_BT, _ = self.tokenizers[0](prompts.texts)
        second_ids_BT, _ = self.tokenizers[1](prompts.texts)
        first = self.first(input_ids=first_ids_BT, output_hidden_states=True)
        second = self.second(input_ids=second_ids_BT, output_hidden_states=True)
        tokens_BTD = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        given_B = self._given(prompts.texts, tokens_BTD)
        sizes = (prompts.height, prompts.width)
        time_ids_BS = torch.tensor([(*sizes, 0, 0, *sizes)] * len(prompts.texts))
        return Conditioning(
            tensors={
                "encoder_hidden_states": tokens_BTD * given_B[:, None, None],
                "added_cond_kwargs.text_embeds": second.text_embeds * given_B[:, None],
                "added_cond_kwargs.time_ids": time_ids_BS.to(tokens_BTD),
            }
        )

    def _given(self, texts: tuple[str, ...], like: Tensor) -> Tensor:
        """1 for a prompt, 0 for an empty one that stands for no prompt."""
        return torch.tensor([float(bool(t) or not self.has_zero_empty) for t in texts]).to(like)


def _load_encoder(
    folder: Path, model_index: Mapping[str, object], placement: Placement
) -> XLTextEncoder:
    options = {"dtype": placement.dtype}
    first: CLIPTextModel = load_module(
        partial(CLIPTextModel.from_pretrained, **options), folder / "text_encoder", placement
    )
    second: CLIPTextModelWithProjection = load_module(
        partial(CLIPTextModelWithProjection.from_pretrained, **options),
        folder / "text_encoder_2",
        placement,
    )
    tokenizers = tuple(
        PromptTokenizer(
            load_tokenizer(CLIPTokenizer.from_pretrained, folder / name),
            max_tokens=model.config.max_position_embeddings,
            device=placement.device,
        )
        for name, model in (("tokenizer", first), ("tokenizer_2", second))
    )
    return XLTextEncoder(
        first=first,
        second=second,
        tokenizers=(tokenizers[0], tokenizers[1]),
        has_zero_empty=bool(model_index.get("force_zeros_for_empty_prompt", True)),
    )


def _check_widths(image: LatentUNet, encoder: XLTextEncoder) -> None:
    """The refiner is told an aesthetic score instead of a target size: another number of ids."""
    config = image.denoise.unet.config
    if config.addition_embed_type != "text_time":
        raise SpecError(
            f"unet/config.json has addition_embed_type {config.addition_embed_type!r}; an XL "
            "denoiser has 'text_time'"
        )
    summary = int(encoder.second.config.projection_dim)
    expected = int(config.projection_class_embeddings_input_dim)
    found = _NUM_TIME_IDS * int(config.addition_time_embed_dim) + summary
    if found != expected:
        raise SpecError(
            f"the U-Net is told {expected} numbers, text_encoder_2 and {_NUM_TIME_IDS} time ids "
            f"make {found}; refiners are not supported"
        )
