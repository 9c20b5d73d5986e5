"""Trains a denoiser on new pictures: an adapter over it, all of it, or one from nothing.

The base is a loaded pipeline of any layout that the engine serves; its text encoders and VAE stay
frozen. For LoRA the loop is handed only the adapter's parameters, so its optimiser, its average
and its checkpoints are as small as the adapter.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from torch import Tensor, nn
from torch.nn import functional

from loadsheet.adapt.adaptation_method import AdaptationMethod
from loadsheet.adapt.encoded_images import EncodedImages
from loadsheet.adapt.loop import LoopConfig, Trainer
from loadsheet.adapt.noising import Noising, noising_of
from loadsheet.adapt.observer import TrainingObserver
from loadsheet.engine.image.conditioning import Conditioning
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationConfig:
    """`empty_share` of the captions is dropped, which keeps classifier-free guidance working."""

    method: AdaptationMethod
    loop: LoopConfig
    batch_size: int = 16
    empty_share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedDenoiser:
    """The trained U-Net (LoRA layers on it when the method is LoRA), and what it took."""

    unet: UNet2DConditionModel
    trainable_parameters: int
    total_parameters: int
    seconds: float
    s_per_step: float


class AdaptationLoss:
    """Mean squared error of the denoiser's answer on a drawn batch; a LossFn."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        data: EncodedImages,
        noising: Noising,
        config: AdaptationConfig,
    ) -> None:
        self.unet = unet
        self.data = data
        self.noising = noising
        self.config = config

    def __call__(
        self,
        module: nn.Module,  # noqa: ARG002  what trains; the U-Net that it is part of computes
        step: int,  # noqa: ARG002  the loop's contract; every step is alike here
        generator: torch.Generator,
    ) -> Tensor:
        config = self.config
        x0_BCHW, caption_idx = self.data.draw(config.batch_size, config.empty_share, generator)
        return denoising_loss(
            self.unet, self.noising, x0_BCHW, self.data.states.batch(caption_idx), generator
        )


def denoising_loss(
    unet: UNet2DConditionModel,
    noising: Noising,
    x0_BCHW: Tensor,
    conditioning: Conditioning,
    generator: torch.Generator,
) -> Tensor:
    """Mean squared error on these latents; noise and noise levels come from the generator."""
    question = noising(x0_BCHW, generator)
    device = next(unet.parameters()).device
    x_t_BCHW = question.x_t_BCHW.to(device).contiguous(memory_format=torch.channels_last)
    moved = {name: tensor.to(device) for name, tensor in conditioning.tensors.items()}
    prediction_BCHW: Tensor = unet(
        x_t_BCHW,
        question.timesteps_B.to(device),
        **Conditioning(tensors=moved).arguments(),
        return_dict=False,
    )[0]
    return functional.mse_loss(prediction_BCHW.float(), question.target_BCHW.to(device))


def adapt_denoiser(
    pipeline: ImagePipeline,
    data: EncodedImages,
    config: AdaptationConfig,
    *,
    folder: Path | None = None,
    observer: TrainingObserver | None = None,
) -> AdaptedDenoiser:
    """Train by `config`; with a `folder` it is checkpointed there and resumes.

    The pipeline's own U-Net is changed (LoRA, full), so open the pipeline for this purpose.
    """
    device = pipeline.placement.device
    torch.manual_seed(config.loop.seed)  # the first weights of what is new
    unet = _trainable(pipeline.denoise.unet, config.method).to(device)
    module = _what_trains(unet, config.method)
    loss = AdaptationLoss(unet, data, noising_of(pipeline.sampling), config)
    trainer = Trainer(module, loss, config.loop, device=str(device), observer=observer)
    trainer.run(folder)
    with torch.no_grad():
        for mine, average in zip(module.parameters(), trainer.average.parameters(), strict=True):
            mine.copy_(average)
    return AdaptedDenoiser(
        unet=unet.eval(),
        trainable_parameters=sum(p.numel() for p in module.parameters()),
        total_parameters=sum(p.numel() for p in unet.parameters()),
        seconds=trainer.seconds,
        s_per_step=trainer.seconds / max(1, trainer.step),
    )


def _trainable(unet: UNet2DConditionModel, method: AdaptationMethod) -> UNet2DConditionModel:
    """The U-Net with the right weights set to be trained; a fresh one for `scratch`."""
    if method.kind == "scratch":
        unet = UNet2DConditionModel.from_config(unet.config)
    # fused attention has a slow backward pass on CPUs; see adapt/denoiser.py
    unet.set_attn_processor(AttnProcessor())
    unet.to(memory_format=torch.channels_last).requires_grad_(method.kind != "lora")
    if method.kind == "lora":
        unet.add_adapter(
            LoraConfig(
                r=method.rank,
                lora_alpha=method.rank,
                init_lora_weights="gaussian",
                target_modules=list(method.target_modules),
            )
        )
    return unet


def _what_trains(unet: UNet2DConditionModel, method: AdaptationMethod) -> nn.Module:
    """The module whose parameters the optimiser sees: the U-Net, or the adapter's alone."""
    if method.kind != "lora":
        whole: nn.Module = unet
        return whole
    parameters = [p for p in unet.parameters() if p.requires_grad]
    if not parameters:
        raise SpecError(f"{method.name}: this U-Net has none of {method.target_modules}")
    return nn.ParameterList(parameters)
