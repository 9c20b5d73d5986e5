"""What a folder's `scheduler/scheduler_config.json` asks for: a training noise and a sampler.

The file says two things: how the network was trained (betas or rectified flow, what it predicts)
and which sampler its authors liked. The first must be honoured; a sampler that is not here is
replaced by Euler on the same noise, with a note for the user. Settings that would change the
picture and are not implemented are refused by name, never ignored.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from loadsheet.engine.image.noise_schedule import (
    BetaCurve,
    BetaNoise,
    FlowNoise,
    Noise,
    TimestepSpacing,
    Walk,
)
from loadsheet.engine.image.samplers import SAMPLERS, Sampler
from loadsheet.errors import SpecError

Config = Mapping[str, object]

_EULER = "EulerDiscreteScheduler"
_DDIM = "DDIMScheduler"
_DPM = "DPMSolverMultistepScheduler"
_FLOW_EULER = "FlowMatchEulerDiscreteScheduler"
# other ways to sample a network trained on betas; Euler on those betas serves them all
_BETA_SCHEDULERS = frozenset(
    {
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerAncestralDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    }
)
_WALKS = {_EULER: Walk.EULER, _DDIM: Walk.DDIM, _DPM: Walk.DPM_MULTISTEP}
_SAMPLER_OF_WALK = {Walk.EULER: "euler", Walk.DDIM: "ddim", Walk.DPM_MULTISTEP: "dpmpp_2m"}
_SUFFIX_OF_PREDICTION = {"epsilon": "", "v_prediction": "_v"}
# what these samplers are here; asked for anything else, Euler replaces them. Values are those that
# are implemented, with the published default where it is another
_DDIM_HERE: Config = {"clip_sample": False, "thresholding": False}
_DDIM_DEFAULTS: dict[str, object] = {"clip_sample": True, "timestep_spacing": "leading"}
_DPM_HERE: Config = {
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "solver_type": "midpoint",
    "thresholding": False,
    "use_lu_lambdas": False,
    "variance_type": None,
    "lambda_min_clipped": -math.inf,
}
# settings that change the noise, with the one value that is implemented
_FIXED_BETA: Config = {
    "trained_betas": None,
    "interpolation_type": "linear",
    "timestep_type": "discrete",
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_flow_sigmas": False,
    "rescale_betas_zero_snr": False,
    "final_sigmas_type": "zero",
}
_FIXED_FLOW: Config = {
    "use_dynamic_shifting": False,
    "shift_terminal": None,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "invert_sigmas": False,
    "stochastic_sampling": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Noise and sampler of a pipeline. `note` tells the user of a replaced sampler, or is empty."""

    noise: Noise
    sampler: Sampler
    note: str = ""


def read_sampling(config: Config) -> Sampling:
    """`config` is the parsed scheduler_config.json; absent keys mean diffusers' Euler defaults."""
    name = str(config.get("_class_name"))
    if name == _FLOW_EULER:
        return _flow_sampling(config)
    if name == _EULER:
        return _beta_sampling(config, Walk.EULER)
    if name == _DDIM and _is_here(_DDIM_DEFAULTS | dict(config), _DDIM_HERE):
        return _beta_sampling(_DDIM_DEFAULTS | dict(config), Walk.DDIM)
    if name == _DPM and _is_here(config, _DPM_HERE):
        return _beta_sampling(config, Walk.DPM_MULTISTEP)
    if name in _BETA_SCHEDULERS:
        return _beta_sampling(
            config,
            Walk.EULER,
            note=f"{name} is not implemented; sampling with Euler on its noise schedule",
        )
    known = ", ".join([_EULER, _FLOW_EULER, *sorted(_BETA_SCHEDULERS)])
    raise SpecError(f"scheduler_config.json names {name}; supported are {known}")


def _flow_sampling(config: Config) -> Sampling:
    _refuse_unless(config, _FIXED_FLOW)
    return Sampling(
        noise=FlowNoise(
            num_train_timesteps=_integer(config, "num_train_timesteps", 1000),
            shift=_number(config, "shift", 1.0),
        ),
        sampler=SAMPLERS["euler"],
    )


def _is_here(config: Config, here: Config) -> bool:
    """Whether every setting is absent or the one that is implemented."""
    return all(config.get(key, value) in (None, value) for key, value in here.items())


def _beta_sampling(config: Config, walk: Walk, note: str = "") -> Sampling:
    _refuse_unless(config, _FIXED_BETA)
    prediction = _choice(config, "prediction_type", "epsilon", tuple(_SUFFIX_OF_PREDICTION))
    curve = _choice(config, "beta_schedule", BetaCurve.LINEAR, tuple(BetaCurve))
    spacing = _choice(config, "timestep_spacing", TimestepSpacing.LINSPACE, tuple(TimestepSpacing))
    noise = BetaNoise(
        num_train_timesteps=_integer(config, "num_train_timesteps", 1000),
        beta_start=_number(config, "beta_start", 0.0001),
        beta_end=_number(config, "beta_end", 0.02),
        beta_curve=BetaCurve(curve),
        spacing=TimestepSpacing(spacing),
        steps_offset=_integer(config, "steps_offset", 0),
        has_karras_sigmas=bool(config.get("use_karras_sigmas")),
        sigma_min=_optional_number(config, "sigma_min"),
        sigma_max=_optional_number(config, "sigma_max"),
        walk=walk,
        ends_clean=walk is not Walk.DDIM or bool(config.get("set_alpha_to_one", True)),
    )
    sampler = SAMPLERS[_SAMPLER_OF_WALK[walk] + _SUFFIX_OF_PREDICTION[prediction]]
    return Sampling(noise=noise, sampler=sampler, note=note)


def _refuse_unless(config: Config, fixed: Config) -> None:
    for key, expected in fixed.items():
        found = config.get(key)
        if found not in (None, expected):
            raise SpecError(
                f"scheduler_config.json sets {key}={found!r}; only {expected!r} is supported"
            )


def _choice(config: Config, key: str, default: str, choices: tuple[str, ...]) -> str:
    value = str(config.get(key, default))
    if value not in choices:
        known = ", ".join(choices)
        raise SpecError(f"scheduler_config.json sets {key}={value!r}; supported are {known}")
    return value


def _number(config: Config, key: str, default: float) -> float:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"scheduler_config.json sets {key}={value!r}; a number belongs there")
    return float(value)


def _optional_number(config: Config, key: str) -> float | None:
    return None if config.get(key) is None else _number(config, key, 0.0)


def _integer(config: Config, key: str, default: int) -> int:
    return int(_number(config, key, default))
