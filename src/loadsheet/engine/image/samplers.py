"""Samplers: from the network's prediction at one noise level to the image at the next.

A sampler is a stateless function over a batch in which every image may stand at another step of
another schedule. What a multistep method must remember travels as `history`, which belongs to the
request; Euler remembers nothing.

Noise on betas is kept in the variance exploding view, x = x_0 + σ ε, whatever the sampler: the
published forms of DDIM and DPM-Solver work on x / sqrt(1 + σ²), which is the same image scaled.

Shapes: B batch, C latent channels, H W latent positions. Everything is float32.
"""

import math
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
    sigma = _sigmas(step_idx, schedule, x_t_BCHW)
    variance = 1 + sigma**2
    epsilon_BCHW = x_t_BCHW * sigma / variance + prediction_BCHW / variance.sqrt()
    return euler(epsilon_BCHW, x_t_BCHW, step_idx, schedule, history)


def ddim(
    prediction_BCHW: Tensor,
    x_t_BCHW: Tensor,
    step_idx: Sequence[int],
    schedule: Sequence[NoiseSchedule],
    history: Sequence[History],
) -> tuple[Tensor, Sequence[History]]:
    """Deterministic DDIM (Song et al. 2021, arXiv 2010.02502, eq. 13): Euler in this view.

    What is left of the noise after the last step counts in the published scale of the answer.
    """
    x_BCHW, history = euler(prediction_BCHW, x_t_BCHW, step_idx, schedule, history)
    return x_BCHW * per_image(_end_scales(step_idx, schedule), x_BCHW), history


def ddim_v(
    prediction_BCHW: Tensor,
    x_t_BCHW: Tensor,
    step_idx: Sequence[int],
    schedule: Sequence[NoiseSchedule],
    history: Sequence[History],
) -> tuple[Tensor, Sequence[History]]:
    """The same for a network that predicts v."""
    x_BCHW, history = euler_v(prediction_BCHW, x_t_BCHW, step_idx, schedule, history)
    return x_BCHW * per_image(_end_scales(step_idx, schedule), x_BCHW), history


def dpmpp_2m(
    prediction_BCHW: Tensor,
    x_t_BCHW: Tensor,
    step_idx: Sequence[int],
    schedule: Sequence[NoiseSchedule],
    history: Sequence[History],
) -> tuple[Tensor, Sequence[History]]:
    """DPM-Solver++(2M), multistep of order 2 (Lu et al. 2022, arXiv 2211.01095, algorithm 2).

    With λ = −log σ, h = λ' − λ and D the estimates of x_0, which are the history:
    x' = e^(−h) x + (1 − e^(−h)) (D + (D − D_before) h / (2 h_before)); of order 1 where there is
    no step before, and at the last.
    """
    x_0_BCHW = x_t_BCHW - _sigmas(step_idx, schedule, x_t_BCHW) * prediction_BCHW
    return _multistep(x_0_BCHW, x_t_BCHW, step_idx, schedule, history)


def dpmpp_2m_v(
    prediction_BCHW: Tensor,
    x_t_BCHW: Tensor,
    step_idx: Sequence[int],
    schedule: Sequence[NoiseSchedule],
    history: Sequence[History],
) -> tuple[Tensor, Sequence[History]]:
    """The same for a network that predicts v: x_0 = x / (1 + σ²) − σ v / sqrt(1 + σ²)."""
    sigma = _sigmas(step_idx, schedule, x_t_BCHW)
    variance = 1 + sigma**2
    x_0_BCHW = x_t_BCHW / variance - sigma * prediction_BCHW / variance.sqrt()
    return _multistep(x_0_BCHW, x_t_BCHW, step_idx, schedule, history)


def _multistep(
    x_0_BCHW: Tensor,
    x_t_BCHW: Tensor,
    step_idx: Sequence[int],
    schedule: Sequence[NoiseSchedule],
    history: Sequence[History],
) -> tuple[Tensor, Sequence[History]]:
    stays, leans = [], []
    for i, one in zip(step_idx, schedule, strict=True):
        stays.append(one.sigmas[i + 1] / one.sigmas[i])
        leans.append(_lean(i, one))
    before_BCHW = torch.stack(
        [past[-1] if past else x_0 for past, x_0 in zip(history, x_0_BCHW, strict=True)]
    )
    target_BCHW = x_0_BCHW + per_image(leans, x_t_BCHW) * (x_0_BCHW - before_BCHW)
    stay = per_image(stays, x_t_BCHW)
    # copies, so that no request keeps its batch in memory
    return stay * x_t_BCHW + (1 - stay) * target_BCHW, [(x_0.clone(),) for x_0 in x_0_BCHW]


def _lean(step_idx: int, schedule: NoiseSchedule) -> float:
    """h / (2 h_before), or 0 where the step is of order 1."""
    if step_idx == 0 or schedule.sigmas[step_idx + 1] == 0:
        return 0.0
    before, now, after = schedule.sigmas[step_idx - 1 : step_idx + 2]
    return math.log(now / after) / (2 * math.log(before / now))


def _end_scales(step_idx: Sequence[int], schedule: Sequence[NoiseSchedule]) -> list[float]:
    return [
        1 / math.sqrt(1 + s.sigmas[-1] ** 2) if i + 1 == s.num_steps else 1.0
        for i, s in zip(step_idx, schedule, strict=True)
    ]


def _sigmas(step_idx: Sequence[int], schedule: Sequence[NoiseSchedule], like: Tensor) -> Tensor:
    return per_image([s.sigmas[i] for i, s in zip(step_idx, schedule, strict=True)], like)


SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler(step=euler, num_history=0),
    "euler_v": Sampler(step=euler_v, num_history=0),
    "ddim": Sampler(step=ddim, num_history=0),
    "ddim_v": Sampler(step=ddim_v, num_history=0),
    "dpmpp_2m": Sampler(step=dpmpp_2m, num_history=1),
    "dpmpp_2m_v": Sampler(step=dpmpp_2m_v, num_history=1),
}
