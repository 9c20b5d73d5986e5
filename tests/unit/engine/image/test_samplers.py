"""Samplers over whole trajectories against the published ones, and batches against singles."""

from collections.abc import Callable

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from torch import Tensor

from loadsheet.engine.image.noise_schedule import BetaNoise, FlowNoise, NoiseSchedule
from loadsheet.engine.image.samplers import SAMPLERS, per_image
from loadsheet.engine.image.scheduler_config import read_sampling

# diffusers converts tensors the way numpy 2 warns about
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SD_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CONFIGS = [
    {"_class_name": "EulerDiscreteScheduler", **SD_BETAS},
    {"_class_name": "EulerDiscreteScheduler", **SD_BETAS, "timestep_spacing": "leading"},
    {"_class_name": "EulerDiscreteScheduler", **SD_BETAS, "use_karras_sigmas": True},
    {
        "_class_name": "EulerDiscreteScheduler",
        **SD_BETAS,
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
    },
    {"_class_name": "FlowMatchEulerDiscreteScheduler"},
    {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0},
]
PUBLISHED = {
    "EulerDiscreteScheduler": EulerDiscreteScheduler,
    "FlowMatchEulerDiscreteScheduler": FlowMatchEulerDiscreteScheduler,
}


def fake_denoiser(x_BCHW: Tensor, timestep: float) -> Tensor:
    """A fixed smooth function of input and time with answers of size about 1."""
    mixed = x_BCHW.roll(1, dims=-1) - 0.5 * x_BCHW.roll(1, dims=-2)
    return torch.tanh(mixed + timestep / 1000)


def published_trajectory(config: dict[str, object], noise: Tensor, num_steps: int) -> list[Tensor]:
    scheduler = PUBLISHED[str(config["_class_name"])].from_config(config)
    scheduler.set_timesteps(num_steps)
    is_flow = isinstance(scheduler, FlowMatchEulerDiscreteScheduler)
    x_t = noise if is_flow else noise * scheduler.init_noise_sigma
    trajectory = []
    for timestep in scheduler.timesteps:
        x_in = x_t if is_flow else scheduler.scale_model_input(x_t, timestep)
        prediction = fake_denoiser(x_in, float(timestep))
        x_t = scheduler.step(prediction, timestep, x_t, return_dict=False)[0]
        trajectory.append(x_t)
    return trajectory


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: "-".join(map(str, config.values())))
def test_trajectories_equal_diffusers(config: dict[str, object], num_steps: int) -> None:
    noise = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(5))
    sampling = read_sampling(config)
    schedule = sampling.noise.schedule(num_steps)
    x_t = noise * schedule.init_noise_sigma
    history = [(), ()]
    for i, expected in enumerate(published_trajectory(config, noise, num_steps)):
        prediction = fake_denoiser(x_t * schedule.input_scales[i], schedule.timesteps[i])
        x_t, history = sampling.sampler.step(prediction, x_t, [i, i], [schedule] * 2, history)
        assert (x_t - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_batch_of_unlike_steps_equals_single_steps(name: str) -> None:
    sampler = SAMPLERS[name]
    schedules: list[NoiseSchedule] = [
        BetaNoise().schedule(4),
        BetaNoise().schedule(9),
        BetaNoise(has_karras_sigmas=True).schedule(9),
    ]
    step_idx = [3, 0, 5]
    x_t, prediction = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    together, _ = sampler.step(prediction, x_t, step_idx, schedules, [()] * 3)
    for b in range(3):
        row = slice(b, b + 1)
        alone, _ = sampler.step(prediction[row], x_t[row], step_idx[row], schedules[row], [()])
        assert torch.equal(together[row], alone)


def exact_epsilon(x_0: Tensor, epsilon: Tensor, sigma: float) -> Tensor:
    return epsilon


def exact_v(x_0: Tensor, epsilon: Tensor, sigma: float) -> Tensor:
    return (epsilon - sigma * x_0) / (1 + sigma**2) ** 0.5


@pytest.mark.parametrize(("name", "exact"), [("euler", exact_epsilon), ("euler_v", exact_v)])
def test_a_perfect_prediction_leads_to_the_data(
    name: str, exact: Callable[[Tensor, Tensor, float], Tensor]
) -> None:
    """x = x_0 + σ ε: with the true ε or v, every step count lands on x_0."""
    schedule = BetaNoise().schedule(6)
    x_0, epsilon = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    x_t = x_0 + schedule.sigmas[0] * epsilon
    for i in range(6):
        prediction = exact(x_0, epsilon, schedule.sigmas[i])
        x_t, _ = SAMPLERS[name].step(prediction, x_t, [i], [schedule], [()])
        assert torch.allclose(x_t, x_0 + schedule.sigmas[i + 1] * epsilon, atol=2e-4)


def test_a_perfect_flow_leads_to_the_data() -> None:
    schedule = FlowNoise(shift=2.0).schedule(5)
    x_0, x_t = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(3))
    velocity = x_t - x_0
    for i in range(5):
        x_t, _ = SAMPLERS["euler"].step(velocity, x_t, [i], [schedule], [()])
    assert torch.allclose(x_t, x_0, atol=1e-6)


def test_per_image_numbers_broadcast_over_an_image() -> None:
    x_BCHW = torch.ones(2, 3, 4, 5)
    assert (per_image([2.0, 3.0], x_BCHW) * x_BCHW).sum(dim=(1, 2, 3)).tolist() == [120, 180]


SCALED = {  # samplers whose published form works on x / sqrt(1 + σ²)
    "DDIMScheduler": DDIMScheduler,
    "DPMSolverMultistepScheduler": DPMSolverMultistepScheduler,
}
SCALED_CONFIGS = [
    {"_class_name": "DDIMScheduler", **SD_BETAS, "set_alpha_to_one": False, "steps_offset": 1},
    {"_class_name": "DDIMScheduler", **SD_BETAS, "prediction_type": "v_prediction"},
    {"_class_name": "DDIMScheduler", "timestep_spacing": "trailing"},
    {"_class_name": "DPMSolverMultistepScheduler", **SD_BETAS},
    {"_class_name": "DPMSolverMultistepScheduler", **SD_BETAS, "prediction_type": "v_prediction"},
    {"_class_name": "DPMSolverMultistepScheduler", **SD_BETAS, "timestep_spacing": "leading"},
    {"_class_name": "DPMSolverMultistepScheduler", "timestep_spacing": "trailing"},
    {"_class_name": "DPMSolverMultistepScheduler", **SD_BETAS, "use_karras_sigmas": True},
]


def scaled_trajectory(config: dict[str, object], noise: Tensor, num_steps: int) -> list[Tensor]:
    scheduler = SCALED[str(config["_class_name"])].from_config({"clip_sample": False, **config})
    scheduler.set_timesteps(num_steps)
    x_t, trajectory = noise * scheduler.init_noise_sigma, []
    for timestep in scheduler.timesteps:
        prediction = fake_denoiser(x_t, float(timestep))
        x_t = scheduler.step(prediction, timestep, x_t, return_dict=False)[0]
        trajectory.append(x_t)
    return trajectory


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20, 50])
@pytest.mark.parametrize(
    "config", SCALED_CONFIGS, ids=lambda config: "-".join(map(str, config.values()))
)
def test_scaled_trajectories_equal_diffusers(config: dict[str, object], num_steps: int) -> None:
    noise = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(5))
    sampling = read_sampling({"clip_sample": False, **config})
    assert sampling.note == ""
    schedule = sampling.noise.schedule(num_steps)
    x_t = noise * schedule.init_noise_sigma
    history = [(), ()]
    for i, expected in enumerate(scaled_trajectory(config, noise, num_steps)):
        prediction = fake_denoiser(x_t * schedule.input_scales[i], schedule.timesteps[i])
        x_t, history = sampling.sampler.step(prediction, x_t, [i, i], [schedule] * 2, history)
        assert len(history[0]) == sampling.sampler.num_history
        is_last = i + 1 == num_steps  # what the last step gives is scaled already
        scale = 1.0 if is_last else (1 + schedule.sigmas[i + 1] ** 2) ** -0.5
        # float32 numbers of size 300 and more on the linear betas
        assert (x_t * scale - expected).abs().max() <= 1e-4 * max(1, expected.abs().max() / 30)


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_v"])
def test_multistep_batches_of_unlike_histories_equal_single_steps(name: str) -> None:
    sampler, schedule = SAMPLERS[name], BetaNoise().schedule(6)
    generator = torch.Generator().manual_seed(1)
    x_t, prediction, past = torch.randn(3, 3, 4, 2, 2, generator=generator)
    histories = [(), (past[0],), (past[1],)]
    step_idx = [0, 3, 5]  # first, in the middle, last
    together, kept = sampler.step(prediction, x_t, step_idx, [schedule] * 3, histories)
    for b in range(3):
        row = slice(b, b + 1)
        alone, _ = sampler.step(
            prediction[row], x_t[row], step_idx[row], [schedule], histories[row]
        )
        assert torch.equal(together[row], alone)
        assert kept[b][0].shape == (4, 2, 2)
    without, _ = sampler.step(prediction, x_t, step_idx, [schedule] * 3, [()] * 3)
    assert not torch.equal(without[1], together[1])
    assert torch.equal(without[2], together[2])
