"""Samplers: from the network's prediction at one noise level to the image at the next.

A sampler is a stateless function over a batch in which every image may stand at another step of
another schedule. What a multistep method must remember travels as `history`, which belongs to the
request; Euler remembers nothing.

Shapes: B batch, C latent channels, H W latent positions. Everything is float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from loadsheet.engine.image.noise_schedule import NoiseSchedule

History = tuple[Tensor, ...]
"""Earlier results [C, H, W] of one request, newest last; at most `Sampler.num_history`."""


class Step(Protocol):
    """Image b of the batch goes from `schedule[b].sigmas[step_idx[b]]` to the level after it."""

    def __call__(
        self,
        prediction_BCHW: Tensor,
        x_t_BCHW: Tensor,
        step_idx: Sequence[int],
        schedule: Sequence[NoiseSchedule],
        history: Sequence[History],
    ) -> tuple[Tensor, Sequence[History]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    step: Step
    num_history: int


def per_image(values: Sequence[float], x_BCHW: Tensor) -> Tensor:
    """One number for each image, [B, 1, 1, 1] on the device of `x_BCHW`."""
    return torch.tensor(values, dtype=torch.float32).to(x_BCHW.device)[:, None, None, None]


def euler(
    prediction_BCHW: Tensor,
    x_t_BCHW: Tensor,
    step_idx: Sequence[int],
    schedule: Sequence[NoiseSchedule],
    history: Sequence[History],
) -> tuple[Tensor, Sequence[History]]:
    """One Euler step of dx/dσ = prediction.

    x = x_0 + σ ε has dx/dσ = ε (Karras et al. 2022, arXiv 2206.00364); rectified flow,
    x = (1 − σ) x_0 + σ ε, has dx/dσ = ε − x_0. Both networks predict just that derivative.
    """
    stops = [s.sigmas[i + 1] - s.sigmas[i] for i, s in zip(step_idx, schedule, strict=True)]
    return x_t_BCHW + per_image(stops, x_t_BCHW) * prediction_BCHW, history


def euler_v(
    prediction_BCHW: Tensor,
    x_t_BCHW: Tensor,
    step_idx: Sequence[int],
    schedule: Sequence[NoiseSchedule],
    history: Sequence[History],
) -> tuple[Tensor, Sequence[History]]:
    """The same step for a network that predicts v = (ε − σ x_0) / sqrt(1 + σ²).

    v is Salimans & Ho 2022 (arXiv 2202.00512) with α = 1/sqrt(1 + σ²). With x = x_0 + σ ε this
    solves to ε = σ x / (1 + σ²) + v / sqrt(1 + σ²).
    """
    sigmas = [s.sigmas[i] for i, s in zip(step_idx, schedule, strict=True)]
    sigma = per_image(sigmas, x_t_BCHW)
    variance = 1 + sigma**2
    epsilon_BCHW = x_t_BCHW * sigma / variance + prediction_BCHW / variance.sqrt()
    return euler(epsilon_BCHW, x_t_BCHW, step_idx, schedule, history)


SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler(step=euler, num_history=0),
    "euler_v": Sampler(step=euler_v, num_history=0),
}
