"""One training step: forward, backward, optimizer, and who owns the memory.

Backward multiplies every matrix twice, for inputs and for weights, so a step costs three forward
passes (Kaplan et al. 2020), four with full recomputation. Mixed-precision Adam keeps per parameter:
weight 2, gradient 2, fp32 weight 4, two fp32 moments 8 bytes (Rajbhandari et al. 2020, section 3).
"""

from dataclasses import dataclass
from enum import StrEnum

from loadsheet.cost.ledger import Ledger, LedgerLine, Owner
from loadsheet.cost.operator import Operator, OpKind, total

_WEIGHT, _GRADIENT, _MASTER_AND_MOMENTS = 2, 2, 4 + 8


class Recompute(StrEnum):
    NONE = "none"  # every operator keeps its inputs
    FULL = "full"  # only each block's input is kept; the block runs again in backward


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """FLOPs and bytes of one step over the batch that the operators were walked with."""

    forward_flops: int
    backward_flops: int
    recompute_flops: int
    optimizer_bytes: int
    moved_bytes: int
    ledger: Ledger

    @property
    def flops(self) -> int:
        return self.forward_flops + self.backward_flops + self.recompute_flops


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTime:
    """Seconds of one step: backward runs each product twice, so it is taken as two forward
    passes; the optimizer is bound by its bytes."""

    forward_s: float
    backward_s: float
    recompute_s: float
    optimizer_s: float

    @property
    def seconds(self) -> float:
        return self.forward_s + self.backward_s + self.recompute_s + self.optimizer_s

    def mfu(self, step: TrainStep, peak_flops_per_s: float) -> float:
        """Model FLOPs utilisation (Chowdhery et al. 2022): recomputation is no useful work."""
        useful = step.forward_flops + step.backward_flops
        return useful / (self.seconds * peak_flops_per_s)


def train_time(step: TrainStep, forward_s: float, memory_bytes_per_s: float) -> TrainTime:
    return TrainTime(
        forward_s=forward_s,
        backward_s=2 * forward_s,
        recompute_s=forward_s if step.recompute_flops else 0.0,
        optimizer_s=step.optimizer_bytes / memory_bytes_per_s,
    )


def train_step(name: str, walked: list[Operator], recompute: Recompute) -> TrainStep:
    """From the operators of a forward pass, logits at all positions."""
    sums = total(walked)
    again = recompute is Recompute.FULL
    optimizer = sums.params * (_GRADIENT + 2 * _MASTER_AND_MOMENTS + _WEIGHT)
    forward = sums.bytes_read + sums.bytes_written
    owners = {
        Owner.WEIGHTS: sums.params * _WEIGHT,
        Owner.GRADIENTS: sums.params * _GRADIENT,
        Owner.OPTIMIZER: sums.params * _MASTER_AND_MOMENTS,
        Owner.ACTIVATIONS: saved_bytes(walked, recompute),
    }
    lines = tuple(
        LedgerLine(owner=owner, model=name, part="", num_bytes=num_bytes)
        for owner, num_bytes in owners.items()
    )
    return TrainStep(
        forward_flops=sums.flops,
        backward_flops=2 * sums.flops,
        recompute_flops=sums.flops if again else 0,
        optimizer_bytes=optimizer,
        moved_bytes=(4 if again else 3) * forward + optimizer,
        ledger=Ledger(lines=lines),
    )


def saved_bytes(walked: list[Operator], recompute: Recompute) -> int:
    """Activations alive at the end of the forward pass.

    With fused attention a Transformer layer keeps about 34 bytes per token and channel
    (Korthikanti et al. 2022, eq. 2 without the score terms)."""
    walked = [op for op in walked if not op.name.endswith("kv_write")]  # no cache in training
    if recompute is Recompute.NONE:
        return sum(_inputs(op) * op.count for op in walked)
    boundary: dict[str, int] = {}
    inside: dict[str, int] = {}
    for op in walked:
        block = _block(op.name)
        boundary.setdefault(block, _inputs(op) * op.count)
        inside[block] = inside.get(block, 0) + _inputs(op)
    return sum(boundary.values()) + max(inside.values())


def _inputs(op: Operator) -> int:
    """An operator's backward pass needs its inputs; attention also needs its output."""
    kept = op.bytes_read - op.weight_bytes
    return kept + (op.bytes_written if op.kind is OpKind.ATTENTION else 0)


def _block(name: str) -> str:
    """`model.layers.*.mlp.up` belongs to `model.layers.*`; other modules stand alone."""
    parts = name.split(".")
    for index, part in enumerate(parts):
        if part == "*" or part.isdigit():
            return ".".join(parts[: index + 1])
    return name
