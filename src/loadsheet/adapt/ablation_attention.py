"""Attention written out and attention fused: seconds and bytes against the length.

The arithmetic is the same. Written out, T × T scores go to memory, once for each of scaling, mask
and softmax; fused (FlashAttention, arXiv:2205.14135) they live in tiles that stay in the cache, and
backward computes them again.

Shape letters: H heads, T tokens, E size of a head.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from loadsheet.adapt.chart import Panel, write_chart
from loadsheet.adapt.stopwatch import best_seconds
from loadsheet.adapt.study import StudyPlace, StudyTable
from loadsheet.adapt.text_attention import (
    MixTokens,
    naive_attention,
    sdpa_attention,
    tiled_attention,
)
from loadsheet.errors import ConfigError
from loadsheet.units import format_bytes, format_seconds

KERNELS: dict[str, MixTokens] = {
    "naive": naive_attention,
    "sdpa": sdpa_attention,
    "tiled": tiled_attention,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionConfig:
    name: str = "attention"
    num_heads: int = 4
    head_dim: int = 64
    lengths: tuple[int, ...] = (128, 256, 512, 1024, 2048, 4096)
    repeats: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCost:
    """Of one call over `num_tokens`; `peak_bytes` is what it allocates beside its inputs."""

    kernel: str
    num_tokens: int
    is_backward: bool
    seconds: float
    peak_bytes: int


def study_attention(config: AttentionConfig, place: StudyPlace) -> StudyTable:
    """Measure, log, draw."""
    costs = []
    for cost in measure_attention(
        config.lengths,
        num_heads=config.num_heads,
        head_dim=config.head_dim,
        repeats=config.repeats,
    ):
        metrics = {f"{label(cost)}.s": cost.seconds, f"{label(cost)}.bytes": cost.peak_bytes}
        place.run.log(cost.num_tokens, metrics)
        costs.append(cost)
    panels = [
        _panel(costs, "CPU ms", lambda cost: 1e3 * cost.seconds),
        _panel(costs, "peak MiB allocated", lambda cost: cost.peak_bytes / 2**20),
    ]
    write_chart(place.figure("attention"), "Attention, written out and fused", panels)
    place.run.summary({"costs": [asdict(cost) for cost in costs]})
    return StudyTable(
        columns=("tokens", "kernel", "time", "peak memory"),
        rows=tuple(
            (
                f"{cost.num_tokens}",
                label(cost),
                format_seconds(cost.seconds),
                format_bytes(cost.peak_bytes),
            )
            for cost in costs
        ),
    )


def label(cost: "AttentionCost") -> str:
    return f"{cost.kernel}{' + backward' if cost.is_backward else ''}"


def _panel(
    costs: Sequence["AttentionCost"], y_label: str, value: Callable[["AttentionCost"], float]
) -> Panel:
    names = dict.fromkeys(label(cost) for cost in costs)
    return Panel(
        x_label="tokens",
        y_label=y_label,
        lines={
            name: [(cost.num_tokens, value(cost)) for cost in costs if label(cost) == name]
            for name in names
        },
        is_log_x=True,
        is_log_y=True,
    )


def measure_attention(
    lengths: Sequence[int], *, num_heads: int, head_dim: int, repeats: int = 3
) -> Iterator[AttentionCost]:
    """One sequence, fp32, causal: forward alone, then forward with backward."""
    if min(lengths) < 1:
        raise ConfigError(f"a length of {min(lengths)} tokens; give 1 or more")
    for num_tokens in sorted(set(lengths)):
        generator = torch.Generator().manual_seed(num_tokens)
        qkv = torch.randn(3, 1, num_heads, num_tokens, head_dim, generator=generator)
        for kernel, mix in KERNELS.items():
            for is_backward in (False, True):
                work = attention_work(mix, qkv, is_backward)
                yield AttentionCost(
                    kernel=kernel,
                    num_tokens=num_tokens,
                    is_backward=is_backward,
                    seconds=best_seconds(work, repeats),
                    peak_bytes=peak_bytes(work),
                )


def attention_work(mix: MixTokens, qkv: Tensor, is_backward: bool) -> Callable[[], object]:
    """One call; with `is_backward` the gradients of its three inputs too."""
    q_BHTE, k_BHTE, v_BHTE = (x.clone().requires_grad_(is_backward) for x in qkv)

    def forward() -> Tensor:
        with torch.inference_mode():
            return mix(q_BHTE, k_BHTE, v_BHTE)

    def both() -> tuple[Tensor, ...]:
        return torch.autograd.grad(mix(q_BHTE, k_BHTE, v_BHTE).sum(), (q_BHTE, k_BHTE, v_BHTE))

    return both if is_backward else forward


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes held at once by torch's allocator since the start of `work`.

    Every allocation counts, those inside a kernel too; a count of tensors would miss them.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    assert profiled.profiler is not None
    results = profiled.profiler.kineto_results
    assert results is not None
    changes = [event for event in results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
