"""What a denoiser is asked in training, by the law that its folder's scheduler was trained on.

    rectified flow   x_t = (1 − σ) x_0 + σ ε        target ε − x_0               t = 1000 σ
    epsilon          x_t = √ᾱ x_0 + √(1 − ᾱ) ε      target ε                     t uniform
    v-prediction     (the same x_t)                 target √ᾱ ε − √(1 − ᾱ) x_0   t uniform

DDPM: Ho et al. 2020; v: Salimans & Ho 2022. ᾱ comes from the σ of the engine's own schedule,
ᾱ = 1 / (1 + σ²), so that training and sampling cannot disagree. σ of the flow is drawn
logit-normally, as the base was trained.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from loadsheet.adapt import flow
from loadsheet.engine.image.noise_schedule import FlowNoise
from loadsheet.engine.image.samplers import SAMPLERS
from loadsheet.engine.image.scheduler_config import Sampling

SIGMA_LOGIT_MEAN, SIGMA_LOGIT_STD = 0.2, 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Noisy latents, the timesteps that say how noisy, and the right answer."""

    x_t_BCHW: Tensor
    timesteps_B: Tensor
    target_BCHW: Tensor


Noising = Callable[[Tensor, torch.Generator], Question]
"""Clean latents → a question, all randomness from the generator."""


def noising_of(sampling: Sampling) -> Noising:
    """The law of a pipeline's training."""
    noise = sampling.noise
    if isinstance(noise, FlowNoise):
        return _flow
    sigmas = torch.from_numpy(noise.train_sigmas()).float()
    is_v = sampling.sampler is SAMPLERS["euler_v"]
    return lambda x0_BCHW, generator: _beta(x0_BCHW, generator, sigmas, is_v=is_v)


def _flow(x0_BCHW: Tensor, generator: torch.Generator) -> Question:
    noise_BCHW = torch.randn(x0_BCHW.shape, generator=generator)
    sigma_B = flow.draw_sigmas(len(x0_BCHW), generator, SIGMA_LOGIT_MEAN, SIGMA_LOGIT_STD)
    return Question(
        x_t_BCHW=flow.noised(x0_BCHW, noise_BCHW, sigma_B),
        timesteps_B=flow.NUM_TRAIN_TIMESTEPS * sigma_B,
        target_BCHW=flow.velocity(x0_BCHW, noise_BCHW),
    )


def _beta(x0_BCHW: Tensor, generator: torch.Generator, sigmas: Tensor, *, is_v: bool) -> Question:
    noise_BCHW = torch.randn(x0_BCHW.shape, generator=generator)
    timesteps_B = torch.randint(len(sigmas), (len(x0_BCHW),), generator=generator)
    alpha_bar = 1 / (1 + sigmas[timesteps_B].view(-1, 1, 1, 1) ** 2)
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return Question(
        x_t_BCHW=signal * x0_BCHW + noise * noise_BCHW,
        timesteps_B=timesteps_B,
        target_BCHW=signal * noise_BCHW - noise * x0_BCHW if is_v else noise_BCHW,
    )
