"""The training loop learns, averages, schedules, and resumes bit for bit."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from loadsheet.adapt.loop import LoopConfig, Trainer, ema_decay, learning_rate, step_generator
from loadsheet.adapt.observer import Observers, RunLog
from loadsheet.errors import ConfigError
from loadsheet.track import read_run, start_run

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
@pytest.mark.parametrize("change", [{}, {"accumulate": 3}, {"autocast": True}, {"ema_decay": None}])
def test_resume_is_bit_exact(tmp_path, stop, change):
    config = replace(CONFIG, **change)
    whole = Trainer(make_module(), loss_fn, config)
    whole.run()
    Trainer(make_module(), loss_fn, config).run(tmp_path, until=stop)
    torch.manual_seed(1234)  # the global generator must not matter
    resumed = Trainer(make_module(), loss_fn, config)
    resumed.run(tmp_path)
    assert resumed.step == config.num_steps
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
    assert ema_decay(1, 0.9) == pytest.approx(2 / 11)
    assert ema_decay(10_000, 0.9) == 0.9


def test_step_generators_differ_by_seed_and_step():
    draws = {
        torch.rand(1, generator=step_generator(seed, step)).item()
        for seed in range(3)
        for step in range(3)
    }
    assert len(draws) == 9


class RowLoss:
    """Draws `rows` examples of a fixed set, so that 3 draws of 4 are one draw of 12."""

    def __init__(self, rows):
        self.rows = rows
        self.x = torch.randn(64, 4, generator=torch.Generator().manual_seed(9))

    def __call__(self, module, step, generator):
        picks = [torch.randint(64, (), generator=generator).item() for _ in range(self.rows)]
        x = self.x[picks]
        return functional.mse_loss(module(x), x.sum(dim=1, keepdim=True))


def test_micro_batches_add_up_to_the_whole_batch():
    whole = Trainer(make_module(), RowLoss(12), CONFIG)
    parts = Trainer(make_module(), RowLoss(4), replace(CONFIG, accumulate=3))
    one, other = whole.run(until=20), parts.run(until=20)
    assert torch.allclose(weights(whole.module), weights(parts.module), atol=1e-5)
    assert one.losses == pytest.approx(other.losses, rel=1e-4)


def test_no_micro_batch_is_refused():
    with pytest.raises(ConfigError, match="accumulate = 0"):
        Trainer(make_module(), loss_fn, replace(CONFIG, accumulate=0))


def test_without_a_decay_there_is_no_second_copy():
    trainer = Trainer(make_module(), loss_fn, replace(CONFIG, ema_decay=None))
    assert trainer.average is trainer.module
    trainer.run(until=3)
    assert trainer.average.training


class Told:
    def __init__(self):
        self.calls = []

    def on_step(self, step, num_steps, loss):
        self.calls.append((step, num_steps, loss))


def test_observers_are_told_every_step_also_after_a_resume(tmp_path):
    told = Told()
    Trainer(make_module(), loss_fn, CONFIG, observer=told).run(tmp_path, until=25)
    result = Trainer(make_module(), loss_fn, CONFIG, observer=told).run(tmp_path)
    assert [step for step, _, _ in told.calls] == list(range(1, 61))
    assert {num_steps for _, num_steps, _ in told.calls} == {60}
    last = [loss for _, _, loss in told.calls[-20:]]
    assert result.losses[-1] == pytest.approx(sum(last) / 20)


def test_the_run_log_holds_means_and_the_last_steps(tmp_path):
    told = Told()
    with start_run(tmp_path, command="train text", name="t", config={}) as run:
        log = RunLog(run, every=14, prefix="vae.", more=lambda step: {"lr": step / 100})
        Trainer(make_module(), loss_fn, CONFIG, observer=Observers(told, log)).run()
    points = read_run(run.folder).metrics
    losses = [loss for _, _, loss in told.calls]
    assert [point.step for point in points] == [14, 28, 42, 56, 60]
    assert points[0].values["vae.loss"] == pytest.approx(sum(losses[:14]) / 14)
    assert points[-1].values["vae.loss"] == pytest.approx(sum(losses[56:]) / 4)
    assert points[1].values["vae.lr"] == 0.28


def test_a_short_training_logs_each_step(tmp_path):
    with start_run(tmp_path, command="train text", name="t", config={}) as run:
        config = replace(CONFIG, num_steps=12)
        Trainer(make_module(), loss_fn, config, observer=RunLog(run, every=3)).run()
    assert [point.step for point in read_run(run.folder).metrics] == list(range(1, 13))


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="device is 'cuda:99'"):
        Trainer(make_module(), loss_fn, CONFIG, device="cuda:99")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_learns_on_a_gpu_what_it_learns_on_a_cpu():
    def on_device(module, step, generator):
        x = torch.randn(16, 4, generator=generator).to(next(module.parameters()).device)
        return functional.mse_loss(module(x), x.sum(dim=1, keepdim=True))

    here = Trainer(make_module(), on_device, CONFIG)
    there = Trainer(make_module(), on_device, CONFIG, device="cuda")
    assert here.run(until=20).losses == pytest.approx(there.run(until=20).losses, rel=1e-3)
    assert next(there.average.parameters()).device.type == "cuda"
