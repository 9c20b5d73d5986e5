"""Rectified flow: the straight path from data to noise that the denoiser learns to walk back.

    x_t = (1 - σ) x_0 + σ ε,    velocity v = dx_t/dσ = ε - x_0,    U-Net timestep = 1000 σ

(Liu et al. 2022, "Flow Straight and Fast"; Lipman et al. 2022; σ drawn logit-normally as in Esser
et al. 2024, "Scaling Rectified Flow Transformers", eq. 19). Sampling integrates v from σ = 1 to 0
by Euler steps. Nothing here keeps state.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

NUM_TRAIN_TIMESTEPS = 1000


def draw_sigmas(count: int, generator: torch.Generator, mean: float, std: float) -> Tensor:
    """[B] noise levels in (0, 1): the logistic function of normal draws."""
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


def noised(x0_BCHW: Tensor, noise_BCHW: Tensor, sigma_B: Tensor) -> Tensor:
    """x_t = (1 - σ) x_0 + σ ε, one σ per sample."""
    sigma_B111 = sigma_B.view(-1, 1, 1, 1)
    return (1 - sigma_B111) * x0_BCHW + sigma_B111 * noise_BCHW


def velocity(x0_BCHW: Tensor, noise_BCHW: Tensor) -> Tensor:
    """The target of the denoiser: ε - x_0."""
    return noise_BCHW - x0_BCHW


def schedule(num_steps: int, shift: float) -> list[float]:
    """num_steps + 1 noise levels from 1 to 0: even ones σ, then s σ / (1 + (s - 1) σ).

    The even ones are those of diffusers' FlowMatchEulerDiscreteScheduler: from 1 down to 1/1000
    over the steps, then 0.
    """
    low = 1.0 / NUM_TRAIN_TIMESTEPS
    even = torch.linspace(1.0, low, num_steps, dtype=torch.float64).tolist()
    return [shift * sigma / (1 + (shift - 1) * sigma) for sigma in even] + [0.0]


def guided(conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): u + w (c - u)."""
    return unconditional + guidance_scale * (conditional - unconditional)


def euler(
    velocity_fn: Callable[[Tensor, float], Tensor], x_BCHW: Tensor, sigmas: list[float]
) -> Tensor:
    """Integrate dx/dσ = v(x, σ) along `sigmas`."""
    for sigma, next_sigma in pairwise(sigmas):
        x_BCHW = x_BCHW + (next_sigma - sigma) * velocity_fn(x_BCHW, sigma)
    return x_BCHW
