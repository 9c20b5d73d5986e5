"""One small training loop for everything this project trains.

AdamW, linear warm-up then cosine decay, gradient accumulation and clipping, bf16 autocast, an
exponential moving average of the weights, and checkpoints. All randomness of step k comes from a
generator on the CPU seeded by (seed, k), so a run that stops and resumes computes bit for bit what
an uninterrupted run computes, and every device sees the same batches.
"""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from loadsheet.adapt.observer import TrainingObserver
from loadsheet.engine.torch_device import resolve_placement
from loadsheet.errors import ConfigError

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How to optimise. `autocast` runs the loss in bfloat16; weights stay in float32.

    A step takes the mean gradient of `accumulate` micro-batches, each one call of the loss. With
    `ema_decay` None there is no average: `Trainer.average` is the module, and no copy is held.
    """

    num_steps: int
    learning_rate: float
    accumulate: int = 1
    warmup_steps: int = 100
    final_lr_fraction: float = 0.02
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    max_grad_norm: float = 1.0
    ema_decay: float | None = 0.999
    checkpoint_every: int = 200
    log_every: int = 50
    seed: int = 0
    autocast: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopResult:
    """`losses` holds the mean loss of each logged interval of this call."""

    step: int
    seconds: float
    losses: tuple[float, ...]


LossFn = Callable[[nn.Module, int, torch.Generator], Tensor]
"""(module, step_idx, generator) -> scalar loss of one micro-batch.

Draws the batch with the generator, which lies on the CPU, and moves it to the module's device.
"""


class Trainer:
    """A module, its average, its optimiser and the step it has reached.

    `device` is auto, cpu, mps, cuda or cuda:N; the module moves there.
    """

    def __init__(
        self,
        module: nn.Module,
        loss_fn: LossFn,
        config: LoopConfig,
        *,
        device: str = "cpu",
        observer: TrainingObserver | None = None,
    ) -> None:
        if config.accumulate < 1:
            raise ConfigError(f"accumulate = {config.accumulate}; give 1 or more micro-batches")
        self.device = resolve_placement(device).device
        self.module = module.to(self.device)
        self.loss_fn = loss_fn
        self.config = config
        self.observer = observer
        self.average = _average_of(module, config)
        self.optimizer = torch.optim.AdamW(
            module.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step = 0
        self.seconds = 0.0

    def run(self, folder: Path | None = None, *, until: int | None = None) -> LoopResult:
        """Train to `until` (default: the end), resuming from and checkpointing into `folder`."""
        if folder is not None:
            self.restore(folder)
        self.module.train()
        losses = tuple(self._intervals(folder, until or self.config.num_steps))
        if folder is not None:
            self.save(folder)
        return LoopResult(step=self.step, seconds=self.seconds, losses=losses)

    def _intervals(self, folder: Path | None, until: int) -> Iterator[float]:
        config, total, count = self.config, 0.0, 0
        while self.step < until:
            started_s = time.monotonic()
            loss = self._step()
            self.seconds += time.monotonic() - started_s
            total, count = total + loss, count + 1
            if self.observer is not None:
                self.observer.on_step(self.step, config.num_steps, loss)
            if self.step % config.log_every == 0 or self.step == until:
                self._log(total / count)
                yield total / count
                total, count = 0.0, 0
            if folder is not None and self.step % config.checkpoint_every == 0:
                self.save(folder)

    def _step(self) -> float:
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, config)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(step_generator(config.seed, self.step))
        nn.utils.clip_grad_norm_(self.module.parameters(), config.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        if config.ema_decay is not None:
            update_average(self.average, self.module, ema_decay(self.step, config.ema_decay))
        return loss

    def _backward(self, generator: torch.Generator) -> float:
        """Add up the gradient of the mean loss of all micro-batches; returns that loss."""
        config, total = self.config, 0.0
        for _ in range(config.accumulate):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=config.autocast):
                loss = self.loss_fn(self.module, self.step, generator)
            (loss / config.accumulate).backward()
            total += loss.item()
        return total / config.accumulate

    def _log(self, loss: float) -> None:
        logger.info(
            "step=%d of=%d loss=%.5f lr=%.2e s_per_step=%.3f",
            self.step,
            self.config.num_steps,
            loss,
            learning_rate(self.step, self.config),
            self.seconds / self.step,
        )

    def save(self, folder: Path) -> None:
        """Write the checkpoint; the old one stays whole until the new one is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "module": self.module.state_dict(),
            "average": None if self.config.ema_decay is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, folder / f"{CHECKPOINT_NAME}.tmp")
        (folder / f"{CHECKPOINT_NAME}.tmp").replace(folder / CHECKPOINT_NAME)

    def restore(self, folder: Path) -> None:
        """Continue from the checkpoint in `folder`, if there is one."""
        path = folder / CHECKPOINT_NAME
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.module.load_state_dict(state["module"])
        if self.config.ema_decay is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        logger.info("resume folder=%s step=%d", folder, self.step)


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then a half cosine down to `final_lr_fraction` at `num_steps`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    span = max(1, config.num_steps - config.warmup_steps)
    progress = min(1.0, (step - config.warmup_steps) / span)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    low = config.final_lr_fraction
    return config.learning_rate * (low + (1 - low) * cosine)


def ema_decay(step: int, final: float) -> float:
    """The average follows closely at first: min(final, (1 + k) / (10 + k))."""
    return min(final, (1 + step) / (10 + step))


def _average_of(module: nn.Module, config: LoopConfig) -> nn.Module:
    if config.ema_decay is None:
        return module
    return copy.deepcopy(module).requires_grad_(False).eval()


def step_generator(seed: int, step: int) -> torch.Generator:
    """The only source of randomness of a step; distinct for each (seed, step)."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * module, for parameters; buffers are copied."""
    mine: list[Tensor] = list(average.parameters())
    theirs: list[Tensor] = list(module.parameters())
    torch._foreach_lerp_(mine, theirs, 1.0 - decay)
    for buffer, source in zip(average.buffers(), module.buffers(), strict=True):
        buffer.copy_(source)
