"""Noise levels: by hand, and against the published schedulers."""

import numpy as np
import pytest
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from loadsheet.engine.image.noise_schedule import (
    BetaCurve,
    BetaNoise,
    FlowNoise,
    TimestepSpacing,
    karras_sigmas,
)
from loadsheet.errors import ConfigError

# diffusers converts tensors the way numpy 2 warns about
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEP_COUNTS = (1, 2, 3, 7, 20, 30, 48, 999, 1000)
SD = BetaNoise(
    beta_start=0.00085, beta_end=0.012, beta_curve=BetaCurve.SCALED_LINEAR, steps_offset=1
)


@pytest.mark.parametrize("has_karras_sigmas", [False, True])
@pytest.mark.parametrize("spacing", TimestepSpacing)
@pytest.mark.parametrize("curve", BetaCurve)
def test_beta_schedules_equal_diffusers(
    curve: BetaCurve, spacing: TimestepSpacing, has_karras_sigmas: bool
) -> None:
    published = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule=curve.value,
        timestep_spacing=spacing.value,
        use_karras_sigmas=has_karras_sigmas,
    )
    ours = BetaNoise(
        beta_start=0.00085,
        beta_end=0.012,
        beta_curve=curve,
        spacing=spacing,
        has_karras_sigmas=has_karras_sigmas,
    )
    for num_steps in STEP_COUNTS:
        published.set_timesteps(num_steps)
        schedule = ours.schedule(num_steps)
        assert schedule.num_steps == num_steps
        np.testing.assert_allclose(schedule.timesteps, published.timesteps, atol=1e-3)
        np.testing.assert_allclose(schedule.sigmas, published.sigmas, atol=1e-6, rtol=1e-6)
        assert schedule.init_noise_sigma == pytest.approx(float(published.init_noise_sigma))


def test_trailing_spacing_never_adds_a_step() -> None:
    """Rounding makes diffusers' 61 steps 62, the last at timestep -1."""
    published = EulerDiscreteScheduler(timestep_spacing="trailing")
    published.set_timesteps(61)
    timesteps = BetaNoise(spacing=TimestepSpacing.TRAILING).schedule(61).timesteps
    assert timesteps == tuple(published.timesteps.tolist()[:61])
    assert timesteps[-1] > 0


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_flow_schedules_equal_diffusers(shift: float) -> None:
    published = FlowMatchEulerDiscreteScheduler(shift=shift)
    for num_steps in STEP_COUNTS:
        published.set_timesteps(num_steps)
        schedule = FlowNoise(shift=shift).schedule(num_steps)
        np.testing.assert_allclose(schedule.timesteps, published.timesteps, atol=1e-3)
        np.testing.assert_allclose(schedule.sigmas, published.sigmas, atol=1e-6)


def test_one_beta_by_hand() -> None:
    """β = 0.5, 0.5: ᾱ = 0.5, 0.25, so σ² = 1, 3; timesteps fall from 1 to 0."""
    noise = BetaNoise(num_train_timesteps=2, beta_start=0.5, beta_end=0.5)
    schedule = noise.schedule(2)
    assert schedule.timesteps == (1.0, 0.0)
    assert schedule.sigmas == pytest.approx((3**0.5, 1.0, 0.0), rel=1e-6)
    assert schedule.input_scales == pytest.approx((0.5, 0.5**0.5), rel=1e-6)
    assert schedule.init_noise_sigma == pytest.approx(3**0.5, rel=1e-6)


def test_leading_spacing_steps_evenly_from_its_offset() -> None:
    noise = BetaNoise(spacing=TimestepSpacing.LEADING, steps_offset=1)
    assert noise.schedule(4).timesteps == (751.0, 501.0, 251.0, 1.0)


def test_flow_without_shift_walks_evenly_from_noise_to_data() -> None:
    schedule = FlowNoise(num_train_timesteps=10).schedule(10)
    assert schedule.sigmas == pytest.approx((1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0))
    assert schedule.timesteps == pytest.approx((10, 9, 8, 7, 6, 5, 4, 3, 2, 1))
    assert schedule.input_scales == (1.0,) * 10
    assert schedule.init_noise_sigma == 1.0


def test_shift_keeps_the_ends_and_stays_longer_in_noise() -> None:
    """s σ / (1 + (s − 1) σ) at s = 3: 0.5 → 0.75."""
    schedule = FlowNoise(num_train_timesteps=100_000, shift=3.0).schedule(3)
    assert schedule.sigmas == pytest.approx((1.0, 0.75, 0.0, 0.0), abs=1e-4)


def test_karras_sigmas_hit_both_ends() -> None:
    sigmas = karras_sigmas(80.0, 0.002, 5)
    assert sigmas[0] == pytest.approx(80.0)
    assert sigmas[-1] == pytest.approx(0.002)
    # linear for an exponent of one
    assert karras_sigmas(4.0, 1.0, 4, rho=1.0) == pytest.approx([4, 3, 2, 1])


def test_karras_bounds_can_be_set() -> None:
    noise = BetaNoise(has_karras_sigmas=True, sigma_max=10.0, sigma_min=0.1)
    sigmas = noise.schedule(6).sigmas
    assert (sigmas[0], sigmas[-2]) == pytest.approx((10.0, 0.1))


@pytest.mark.parametrize("num_steps", [-1, 0, 1001])
@pytest.mark.parametrize("noise", [SD, FlowNoise()])
def test_step_counts_outside_the_training_range_are_refused(
    noise: BetaNoise | FlowNoise, num_steps: int
) -> None:
    with pytest.raises(ConfigError, match=f"num_steps is {num_steps}; this model takes 1 to 1000"):
        noise.schedule(num_steps)
