"""Training questions against diffusers' own schedulers, and the sampler that must undo them."""

import pytest
import torch
from diffusers import DDPMScheduler

from loadsheet.adapt.noising import noising_of
from loadsheet.engine.image.samplers import euler, euler_v
from loadsheet.engine.image.scheduler_config import read_sampling

BETAS = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


def latents() -> torch.Tensor:
    return torch.randn(6, 4, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_beta_questions_are_those_of_ddpm(prediction: str) -> None:
    config = {**BETAS, "prediction_type": prediction}
    x0 = latents()
    found = noising_of(read_sampling(config))(x0, torch.Generator().manual_seed(2))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
    published = DDPMScheduler.from_config({**config, "_class_name": "DDPMScheduler"})
    t = found.timesteps_B
    assert t.dtype == torch.int64
    assert bool(((t >= 0) & (t < 1000)).all())
    assert (found.x_t_BCHW - published.add_noise(x0, noise, t)).abs().max() < 1e-5
    target = noise if prediction == "epsilon" else published.get_velocity(x0, noise, t)
    assert (found.target_BCHW - target).abs().max() < 1e-5


def test_flow_questions_lie_on_the_straight_path() -> None:
    x0 = latents()
    sampling = read_sampling({"_class_name": "FlowMatchEulerDiscreteScheduler"})
    found = noising_of(sampling)(x0, torch.Generator().manual_seed(2))
    sigma = (found.timesteps_B / 1000).view(-1, 1, 1, 1)
    assert bool(((sigma > 0) & (sigma < 1)).all())
    # v = ε − x_0 and x_t = x_0 + σ v: one Euler step with the right answer lands on x_0
    assert (found.x_t_BCHW - sigma * found.target_BCHW - x0).abs().max() < 1e-5


@pytest.mark.parametrize(("prediction", "step"), [("epsilon", euler), ("v_prediction", euler_v)])
def test_the_sampler_undoes_what_training_asks(prediction: str, step) -> None:
    """The right answer, handed to the sampler, leads to the clean latents in one step."""
    sampling = read_sampling({**BETAS, "prediction_type": prediction})
    x0 = latents()
    found = noising_of(sampling)(x0, torch.Generator().manual_seed(3))
    sigmas = torch.from_numpy(sampling.noise.train_sigmas()).float()[found.timesteps_B]
    # the sampler's x is x_t / √ᾱ
    x_t = found.x_t_BCHW * (1 + sigmas.view(-1, 1, 1, 1) ** 2).sqrt()
    one_step = [sampling.noise.schedule(1)] * len(x0)
    schedules = [
        type(one)(
            sigmas=(float(sigma), 0.0),
            timesteps=one.timesteps,
            input_scales=one.input_scales,
            init_noise_sigma=one.init_noise_sigma,
        )
        for one, sigma in zip(one_step, sigmas, strict=True)
    ]
    clean, _ = step(found.target_BCHW, x_t, [0] * len(x0), schedules, [()] * len(x0))
    assert (clean - x0).abs().max() < 1e-4 * (1 + float(sigmas.max()))
