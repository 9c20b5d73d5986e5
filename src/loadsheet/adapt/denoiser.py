"""The denoiser: a text-conditioned U-Net on 16×16×8 latents, trained by rectified flow.

A convolutional level at 16×16, cross-attention to the caption's tokens at 8×8 and 4×4; the pooled
caption is added to the time embedding. One caption in ten is replaced by the empty one, which
makes classifier-free guidance possible.
"""

from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from torch.nn import functional

from loadsheet.adapt import flow
from loadsheet.adapt.model_folder import SamplingConfig
from loadsheet.adapt.samples import Samples
from loadsheet.adapt.text import CaptionCache, Conditioning

TEXT_WIDTH = 384


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserConfig:
    """Architecture and the law of the training noise.

    The finest `num_plain_levels` levels only convolve; all coarser ones attend to the caption.
    """

    sample_size: int = 16
    latent_channels: int = 8
    block_out_channels: tuple[int, ...] = (64, 128, 224)
    num_plain_levels: int = 1
    num_heads: int = 4
    norm_num_groups: int = 16
    batch_size: int = 32
    empty_share: float = 0.1
    sigma_logit_mean: float = 0.2
    sigma_logit_std: float = 1.1


def build_denoiser(config: DenoiserConfig) -> UNet2DConditionModel:
    """A fresh diffusers UNet2DConditionModel.

    Attention is written out in matmuls: torch's fused CPU kernel takes 27 % of a bfloat16 training
    step here, nearly all of it in the backward pass, and the plain form 5 %.
    """
    num_attending = len(config.block_out_channels) - config.num_plain_levels
    plain = ("DownBlock2D",) * config.num_plain_levels
    down = plain + ("CrossAttnDownBlock2D",) * num_attending
    denoiser = UNet2DConditionModel(
        sample_size=config.sample_size,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        down_block_types=down,
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(down)),
        block_out_channels=config.block_out_channels,
        layers_per_block=1,
        # diffusers reads this field as the number of heads
        attention_head_dim=config.num_heads,
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=config.norm_num_groups,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=TEXT_WIDTH,
    )
    denoiser.set_attn_processor(AttnProcessor())
    return denoiser.to(memory_format=torch.channels_last)


def predict(module: nn.Module, x_BCHW: Tensor, sigma_B: Tensor, text: Conditioning) -> Tensor:
    """The velocity at x_t."""
    prediction: Tensor = module(
        x_BCHW,
        flow.NUM_TRAIN_TIMESTEPS * sigma_B,
        encoder_hidden_states=text.tokens_BTD,
        encoder_attention_mask=text.mask_BT,
        class_labels=text.pooled_BD,
    ).sample
    return prediction.float()


class DenoiserLoss:
    """Mean squared error of the velocity; callable as a LossFn."""

    def __init__(self, samples: Samples, captions: CaptionCache, config: DenoiserConfig) -> None:
        self.samples = samples
        self.captions = captions
        self.config = config

    def __call__(
        self,
        module: nn.Module,
        step: int,  # noqa: ARG002  the loop's contract; every step is alike here
        generator: torch.Generator,
    ) -> Tensor:
        config = self.config
        x0_BCHW, caption_idx = self.samples.draw(config.batch_size, config.empty_share, generator)
        noise_BCHW = torch.randn(x0_BCHW.shape, generator=generator)
        sigma_B = flow.draw_sigmas(
            config.batch_size, generator, config.sigma_logit_mean, config.sigma_logit_std
        )
        prediction = predict(
            module,
            flow.noised(x0_BCHW, noise_BCHW, sigma_B).to(memory_format=torch.channels_last),
            sigma_B,
            self.captions.batch(caption_idx),
        )
        return functional.mse_loss(prediction, flow.velocity(x0_BCHW, noise_BCHW))


@torch.no_grad()
def generate(
    module: nn.Module,
    text: Conditioning,
    empty: Conditioning,
    noise_BCHW: Tensor,
    sampling: SamplingConfig,
) -> Tensor:
    """Latents for captions, by Euler steps with guidance; `text` and `empty` are equally long."""
    both = Conditioning(
        tokens_BTD=torch.cat([text.tokens_BTD, empty.tokens_BTD]),
        mask_BT=torch.cat([text.mask_BT, empty.mask_BT]),
        pooled_BD=torch.cat([text.pooled_BD, empty.pooled_BD]),
    )

    def velocity_fn(x_BCHW: Tensor, sigma: float) -> Tensor:
        sigma_B = torch.full((2 * len(x_BCHW),), sigma)
        conditional, unconditional = predict(
            module, torch.cat([x_BCHW, x_BCHW]), sigma_B, both
        ).chunk(2)
        return flow.guided(conditional, unconditional, sampling.guidance_scale)

    return flow.euler(velocity_fn, noise_BCHW, flow.schedule(sampling.num_steps, sampling.shift))
