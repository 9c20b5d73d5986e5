"""The training loop learns, averages, schedules, and resumes bit for bit."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from loadsheet.adapt.loop import LoopConfig, Trainer, ema_decay, learning_rate, step_generator

CONFIG = LoopConfig(
    num_steps=60,
    learning_rate=0.05,
    warmup_steps=5,
    ema_decay=0.9,
    checkpoint_every=7,
    log_every=20,
    autocast=False,
)


def make_module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def loss_fn(module, step, generator):
    x = torch.randn(16, 4, generator=generator)
    return functional.mse_loss(module(x), x.sum(dim=1, keepdim=True))


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_it_learns():
    result = Trainer(make_module(), loss_fn, CONFIG).run()
    assert result.step == 60
    assert len(result.losses) == 3
    assert result.losses[-1] < 0.2 * result.losses[0]


@pytest.mark.parametrize("stop", [7, 20, 33])
def test_resume_is_bit_exact(tmp_path, stop):
    whole = Trainer(make_module(), loss_fn, CONFIG)
    whole.run()
    Trainer(make_module(), loss_fn, CONFIG).run(tmp_path, until=stop)
    torch.manual_seed(1234)  # the global generator must not matter
    resumed = Trainer(make_module(), loss_fn, CONFIG)
    resumed.run(tmp_path)
    assert torch.equal(weights(whole.module), weights(resumed.module))
    assert torch.equal(weights(whole.average), weights(resumed.average))


def test_a_finished_run_does_nothing_more(tmp_path):
    Trainer(make_module(), loss_fn, CONFIG).run(tmp_path)
    again = Trainer(make_module(), loss_fn, CONFIG).run(tmp_path)
    assert again.losses == ()
    assert again.step == 60


def test_checkpoints_replace_each_other(tmp_path):
    Trainer(make_module(), loss_fn, CONFIG).run(tmp_path, until=21)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_average_follows_the_module_and_needs_no_gradient():
    trainer = Trainer(make_module(), loss_fn, CONFIG)
    trainer.run()
    assert not any(p.requires_grad for p in trainer.average.parameters())
    gap = (weights(trainer.average) - weights(trainer.module)).norm()
    assert 0 < gap < 0.1 * weights(trainer.module).norm()


def test_learning_rate_warms_up_and_decays():
    assert learning_rate(0, CONFIG) == pytest.approx(0.05 / 5)
    assert learning_rate(5, CONFIG) == pytest.approx(0.05)
    assert learning_rate(60, CONFIG) == pytest.approx(0.05 * CONFIG.final_lr_fraction)
    middle = 5 + 55 / 2
    assert learning_rate(round(middle), CONFIG) == pytest.approx(0.05 * 0.51, rel=0.05)


def test_average_starts_fast():
    assert ema_decay(1, CONFIG) == pytest.approx(2 / 11)
    assert ema_decay(10_000, CONFIG) == CONFIG.ema_decay


def test_step_generators_differ_by_seed_and_step():
    draws = {
        torch.rand(1, generator=step_generator(seed, step)).item()
        for seed in range(3)
        for step in range(3)
    }
    assert len(draws) == 9
