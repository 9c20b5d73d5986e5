"""Three ways to compute the same attention: FLOPs, traffic to device memory, and memory held.

All for one head of one sequence: N queries and keys of width d, `sram_bytes` of on-chip memory.
Standard attention stores the N x N scores and probabilities. FlashAttention (Dao et al. 2022,
theorem 2) keeps tiles on chip and moves O(N² d² / M) elements, M being the on-chip elements.
xFormers' memory-efficient attention (after Rabe & Staats 2021) also needs O(N) memory; its query
blocks have a fixed height, so its traffic does not fall with the on-chip memory.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from loadsheet.errors import ConfigError


class Kernel(StrEnum):
    STANDARD = "standard"
    FLASH = "flash"
    XFORMERS = "xformers"


XFORMERS_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionMemory:
    """`held_bytes` counts what exists beside queries, keys, values and the output."""

    kernel: Kernel
    flops: int
    moved_bytes: int
    held_bytes: int


def attention_memory(
    kernel: Kernel, tokens: int, head_dim: int, sram_bytes: int, value_bytes: int = 2
) -> AttentionMemory:
    if min(tokens, head_dim, value_bytes) < 1 or sram_bytes < 8 * head_dim * value_bytes:
        raise ConfigError(
            f"{tokens} tokens of width {head_dim} with {sram_bytes} bytes of on-chip memory: "
            f"all must be positive and a tile needs at least {8 * head_dim * value_bytes} bytes"
        )
    scores, rows = tokens * tokens, tokens * head_dim
    if kernel is Kernel.STANDARD:
        # scores and probabilities are each written once and read once
        moved, held = 4 * rows + 4 * scores, 2 * scores
    else:
        height = XFORMERS_ROWS
        if kernel is Kernel.FLASH:
            height = max(1, sram_bytes // (4 * head_dim * value_bytes))
        passes = math.ceil(tokens / height)  # every query block reads all keys and values
        moved, held = 2 * rows + passes * 2 * rows, 2 * tokens  # running maximum and sum
    return AttentionMemory(
        kernel=kernel,
        flops=4 * tokens * tokens * head_dim,
        moved_bytes=moved * value_bytes,
        held_bytes=held * value_bytes,
    )
