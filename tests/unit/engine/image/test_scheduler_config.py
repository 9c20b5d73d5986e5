"""Configs mean what they say; what is not implemented is refused by name or noted."""

import pytest

from loadsheet.engine.image.noise_schedule import (
    BetaCurve,
    BetaNoise,
    FlowNoise,
    TimestepSpacing,
)
from loadsheet.engine.image.samplers import SAMPLERS
from loadsheet.engine.image.scheduler_config import read_sampling
from loadsheet.errors import SpecError


def test_a_full_euler_config_is_read() -> None:
    sampling = read_sampling(
        {
            "_class_name": "EulerDiscreteScheduler",
            "num_train_timesteps": 500,
            "beta_start": 0.001,
            "beta_end": 0.03,
            "beta_schedule": "scaled_linear",
            "timestep_spacing": "leading",
            "steps_offset": 1,
            "use_karras_sigmas": True,
            "sigma_min": 0.1,
            "sigma_max": 9,
            "prediction_type": "v_prediction",
            "trained_betas": None,
            "rescale_betas_zero_snr": False,
        }
    )
    assert sampling.noise == BetaNoise(
        num_train_timesteps=500,
        beta_start=0.001,
        beta_end=0.03,
        beta_curve=BetaCurve.SCALED_LINEAR,
        spacing=TimestepSpacing.LEADING,
        steps_offset=1,
        has_karras_sigmas=True,
        sigma_min=0.1,
        sigma_max=9.0,
    )
    assert sampling.sampler is SAMPLERS["euler_v"]
    assert sampling.note == ""


def test_absent_keys_take_the_published_defaults() -> None:
    assert read_sampling({"_class_name": "EulerDiscreteScheduler"}).noise == BetaNoise()
    flow = read_sampling({"_class_name": "FlowMatchEulerDiscreteScheduler"})
    assert flow.noise == FlowNoise()
    assert flow.sampler is SAMPLERS["euler"]


@pytest.mark.parametrize(
    "name", ["PNDMScheduler", "HeunDiscreteScheduler", "UniPCMultistepScheduler"]
)
def test_another_sampler_is_replaced_with_a_note(name: str) -> None:
    config = {"beta_start": 0.002, "beta_schedule": "scaled_linear", "clip_sample": False}
    sampling = read_sampling({"_class_name": name, **config})
    euler = read_sampling({"_class_name": "EulerDiscreteScheduler", **config})
    assert (sampling.noise, sampling.sampler) == (euler.noise, euler.sampler)
    assert sampling.note == (
        f"{name} is not implemented; sampling with Euler on its noise schedule"
    )


@pytest.mark.parametrize(
    ("name", "sampler"),
    [("DDIMScheduler", "ddim"), ("DPMSolverMultistepScheduler", "dpmpp_2m")],
)
def test_ddim_and_dpm_solver_are_what_the_folder_asks_for(name: str, sampler: str) -> None:
    config = {"_class_name": name, "clip_sample": False}
    sampling = read_sampling(config)
    assert (sampling.sampler, sampling.note) == (SAMPLERS[sampler], "")
    of_v = read_sampling({**config, "prediction_type": "v_prediction"})
    assert of_v.sampler is SAMPLERS[f"{sampler}_v"]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("DDIMScheduler", {}),  # clips by default
        ("DDIMScheduler", {"clip_sample": False, "thresholding": True}),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
        ("DPMSolverMultistepScheduler", {"solver_order": 3}),
        ("DPMSolverMultistepScheduler", {"solver_type": "heun"}),
        ("DPMSolverMultistepScheduler", {"lambda_min_clipped": -5.1}),
    ],
)
def test_kinds_that_are_not_here_are_replaced_with_a_note(
    name: str, setting: dict[str, object]
) -> None:
    sampling = read_sampling({"_class_name": name, **setting})
    assert sampling.sampler is SAMPLERS["euler"]
    assert sampling.note.startswith(f"{name} is not implemented")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"_class_name": "LCMScheduler"}, "names LCMScheduler; supported are EulerDiscrete"),
        ({}, "names None"),
        ({"trained_betas": [0.1]}, r"trained_betas=\[0.1\]; only None"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr=True; only False"),
        ({"prediction_type": "sample"}, "prediction_type='sample'; supported are epsilon, v_pre"),
        ({"beta_schedule": "squaredcos_cap_v2"}, "supported are linear, scaled_linear"),
        ({"timestep_spacing": "odd"}, "supported are linspace, leading, trailing"),
        ({"beta_start": "low"}, "beta_start='low'; a number belongs there"),
        ({"beta_start": True}, "beta_start=True; a number belongs there"),
    ],
)
def test_beta_settings_that_are_not_implemented_are_refused(
    config: dict[str, object], message: str
) -> None:
    name = {} if "names" in message else {"_class_name": "EulerDiscreteScheduler"}
    with pytest.raises(SpecError, match=message):
        read_sampling({**name, **config})


@pytest.mark.parametrize(
    ("key", "value"),
    [("use_dynamic_shifting", True), ("shift_terminal", 0.1), ("invert_sigmas", True)],
)
def test_flow_settings_that_are_not_implemented_are_refused(key: str, value: object) -> None:
    with pytest.raises(SpecError, match=f"{key}={value}"):
        read_sampling({"_class_name": "FlowMatchEulerDiscreteScheduler", key: value})
