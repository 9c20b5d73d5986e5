"""Noise levels of a sampling run: which σ and timestep each denoise step works at.

Two families, both as numbers per step and nothing else:

- variance exploding view of a DDPM (Song et al. 2021; Karras et al. 2022): ᾱ_t = Π(1 − β_s),
  σ_t = sqrt((1 − ᾱ_t) / ᾱ_t), x_t = x_0 + σ_t ε;
- rectified flow (Liu et al. 2023; Esser et al. 2024): x_σ = (1 − σ) x_0 + σ ε, σ from 1 to 0,
  moved by shift s: σ' = s σ / (1 + (s − 1) σ).

Values agree with diffusers' EulerDiscreteScheduler, DDIMScheduler, DPMSolverMultistepScheduler and
FlowMatchEulerDiscreteScheduler.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch

from loadsheet.errors import ConfigError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSchedule:
    """One run of `num_steps` steps.

    `sigmas` has one entry more than the others: the level after the last step, mostly 0, and for
    DDIM the smallest trained one where its folder asks for that. `input_scales`
    are what x_t is multiplied by before the network sees it. The first x_t is unit noise times
    `init_noise_sigma`.
    """

    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]
    input_scales: tuple[float, ...]
    init_noise_sigma: float

    @property
    def num_steps(self) -> int:
        return len(self.timesteps)


class BetaCurve(StrEnum):
    LINEAR = "linear"
    SCALED_LINEAR = "scaled_linear"  # linear in sqrt(β): latent diffusion


class TimestepSpacing(StrEnum):
    """Lin et al. 2023 (arXiv 2305.08891), table 2."""

    LINSPACE = "linspace"
    LEADING = "leading"
    TRAILING = "trailing"


class Walk(StrEnum):
    """Whose levels are visited: published samplers differ in rounding and in the two ends."""

    EULER = "euler"
    DDIM = "ddim"
    DPM_MULTISTEP = "dpm_multistep"


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaNoise:
    """A DDPM's training noise and how sampling walks through it.

    `ends_clean`: the level after the last step is 0, not the smallest trained one.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_curve: BetaCurve = BetaCurve.LINEAR
    spacing: TimestepSpacing = TimestepSpacing.LINSPACE
    steps_offset: int = 0
    has_karras_sigmas: bool = False
    sigma_min: float | None = None
    sigma_max: float | None = None
    walk: Walk = Walk.EULER
    ends_clean: bool = True

    def schedule(self, num_steps: int) -> NoiseSchedule:
        _check_num_steps(num_steps, self.num_train_timesteps)
        train_sigmas = self.train_sigmas()
        timesteps = self._timesteps(num_steps)
        sigmas = np.interp(timesteps, np.arange(len(train_sigmas)), train_sigmas)
        if self.has_karras_sigmas:
            # multistep solvers walk the whole trained range
            range_of = train_sigmas[::-1] if self.walk is Walk.DPM_MULTISTEP else sigmas
            sigmas = karras_sigmas(
                self.sigma_max or float(range_of[0]),
                self.sigma_min or float(range_of[-1]),
                num_steps,
            )
            # np.interp clips outside the trained range, as published samplers do
            timesteps = np.interp(
                np.log(sigmas), np.log(train_sigmas), np.arange(len(train_sigmas), dtype=float)
            )
            if self.walk is Walk.DPM_MULTISTEP:
                timesteps = timesteps.round()
        largest = float(sigmas.max())
        # leading spacing starts below the last σ, where the data's variance still counts; others
        # than Euler count it always
        has_variance = self.walk is not Walk.EULER or self.spacing is TimestepSpacing.LEADING
        return NoiseSchedule(
            sigmas=(*_as_floats(sigmas), 0.0 if self.ends_clean else float(train_sigmas[0])),
            timesteps=_as_floats(timesteps),
            # x_0 + σ ε has variance about 1 + σ², and the network was trained on variance 1
            input_scales=_as_floats(1 / np.sqrt(sigmas**2 + 1)),
            init_noise_sigma=(largest**2 + 1) ** 0.5 if has_variance else largest,
        )

    def train_sigmas(self) -> Floats:
        """σ_t for every training timestep, rising."""
        # float32 from end to end: 1000 roundings in ᾱ are part of the published values
        steps, float32 = self.num_train_timesteps, torch.float32
        if self.beta_curve is BetaCurve.LINEAR:
            betas = torch.linspace(self.beta_start, self.beta_end, steps, dtype=float32)
        else:
            low, high = self.beta_start**0.5, self.beta_end**0.5
            betas = torch.linspace(low, high, steps, dtype=float32) ** 2
        alphas_cumprod = torch.cumprod(1 - betas, dim=0)
        sigmas: Floats = ((1 - alphas_cumprod) / alphas_cumprod).sqrt().double().numpy()
        return sigmas

    def _timesteps(self, num_steps: int) -> Floats:
        """Training timesteps to visit, falling; fractions between two of them are interpolated."""
        last = self.num_train_timesteps
        num_skipped = int(self.walk is Walk.DPM_MULTISTEP)  # of the lowest: the end is no step
        num_levels = num_steps + num_skipped
        match self.spacing:
            case TimestepSpacing.LINSPACE:
                levels = np.linspace(0, last - 1, num_levels, dtype=np.float32).astype(float)
                levels = levels if self.walk is Walk.EULER else levels.round()
                return levels[::-1][:num_steps]
            case TimestepSpacing.LEADING:
                stride = last // num_levels
                levels = np.arange(num_levels, dtype=float)[::-1] * stride
                return levels[:num_steps] + self.steps_offset
            case TimestepSpacing.TRAILING:
                # arange, not a product: halves must round the way published samplers round them
                return np.arange(last, 0, -last / num_steps, dtype=float)[:num_steps].round() - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowNoise:
    """Rectified flow. The network's timestep is `num_train_timesteps`·σ."""

    num_train_timesteps: int = 1000
    shift: float = 1.0

    def schedule(self, num_steps: int) -> NoiseSchedule:
        _check_num_steps(num_steps, self.num_train_timesteps)
        # the smallest trained σ is shifted once here and once with the others, as published
        smallest = self._shifted(np.array(1 / self.num_train_timesteps))
        sigmas = self._shifted(np.linspace(1.0, smallest, num_steps))
        return NoiseSchedule(
            sigmas=(*_as_floats(sigmas), 0.0),
            timesteps=_as_floats(sigmas * self.num_train_timesteps),
            input_scales=(1.0,) * num_steps,
            init_noise_sigma=1.0,
        )

    def _shifted(self, sigmas: Floats) -> Floats:
        shifted: Floats = self.shift * sigmas / (1 + (self.shift - 1) * sigmas)
        return shifted


Noise = BetaNoise | FlowNoise


def karras_sigmas(sigma_max: float, sigma_min: float, num_steps: int, rho: float = 7.0) -> Floats:
    """Karras et al. 2022 (arXiv 2206.00364), eq. 5: even steps in σ^(1/ρ)."""
    ramp = np.linspace(0, 1, num_steps)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas: Floats = (high + ramp * (low - high)) ** rho
    return sigmas


def _as_floats(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())


def _check_num_steps(num_steps: int, num_train_timesteps: int) -> None:
    if not 1 <= num_steps <= num_train_timesteps:
        raise ConfigError(
            f"num_steps is {num_steps}; this model takes 1 to {num_train_timesteps} steps"
        )
