"""Rectified flow by hand: end points, derivative, schedule, a straight path integrated exactly."""

import pytest
import torch

from loadsheet.adapt.flow import draw_sigmas, euler, guided, noised, schedule, velocity

X0 = torch.full((2, 1, 1, 1), 3.0)
NOISE = torch.full((2, 1, 1, 1), -1.0)


def test_path_runs_from_data_to_noise():
    x_t = noised(X0, NOISE, torch.tensor([0.0, 1.0]))
    assert x_t.flatten().tolist() == [3.0, -1.0]


def test_quarter_of_the_way():
    x_t = noised(X0, NOISE, torch.tensor([0.25, 0.5]))
    assert x_t.flatten().tolist() == [0.75 * 3 - 0.25, 1.0]


def test_velocity_is_the_derivative_of_the_path():
    low, high = (noised(X0, NOISE, torch.full((2,), sigma)) for sigma in (0.25, 0.75))
    assert torch.equal((high - low) / 0.5, velocity(X0, NOISE))
    assert velocity(X0, NOISE).flatten().tolist() == [-4.0, -4.0]


@pytest.mark.parametrize("num_steps", [1, 2, 20])
def test_euler_follows_a_straight_path_exactly(num_steps):
    found = euler(lambda x, sigma: velocity(X0, NOISE), NOISE, schedule(num_steps, 1.0))
    torch.testing.assert_close(found, X0)


def test_schedule_without_shift_is_even_and_ends_at_zero():
    assert schedule(4, 1.0) == pytest.approx([1.0, 0.667, 0.334, 0.001, 0.0])


def test_shift_moves_the_middle_up():
    # s σ / (1 + (s - 1) σ) at σ = 0.5005, s = 3: 1.5015 / 2.001
    assert schedule(3, 3.0)[1] == pytest.approx(1.5015 / 2.001)
    assert schedule(3, 3.0)[0] == 1.0


def test_schedule_is_that_of_diffusers():
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.5)
    scheduler.set_timesteps(20)
    torch.testing.assert_close(scheduler.sigmas, torch.tensor(schedule(20, 1.5)), rtol=0, atol=2e-3)


def test_guidance_extrapolates():
    both = torch.tensor([1.0]), torch.tensor([3.0])
    assert guided(*both, 1.0).item() == 1.0
    assert guided(*both, 0.0).item() == 3.0
    assert guided(*both, 4.0).item() == -5.0


def test_sigmas_are_logit_normal():
    sigmas = draw_sigmas(20_000, torch.Generator().manual_seed(0), mean=0.2, std=1.1)
    logits = torch.logit(sigmas)
    assert logits.mean().item() == pytest.approx(0.2, abs=0.03)
    assert logits.std().item() == pytest.approx(1.1, abs=0.03)
