"""One piece of device work: what it computes, what it moves, how often it runs.

FLOPs count two per multiply-accumulate of matrix products, convolutions and attention, the
convention of published counters; norms and activations count as bytes only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class OpKind(StrEnum):
    GEMM = "gemm"
    GROUPED_GEMM = "grouped_gemm"  # experts: many small products, one launch
    CONV = "conv"
    ATTENTION = "attention"
    SCAN = "scan"  # recurrences and linear attention
    NORM = "norm"
    POINTWISE = "pointwise"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionShape:
    """`pairs` is the number of (query, key) pairs of one sequence and head that are computed."""

    batch: int
    heads: int
    kv_heads: int
    qk_dim: int
    value_dim: int
    tokens: int
    context: int
    pairs: int
    is_latent: bool = False  # values are a part of the keys, as in absorbed MLA


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A module inside a fused matrix product, as a share of its output columns."""

    name: str
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """All amounts are for one run of the operator; `count` runs make up the step.

    A GEMM multiplies [m, k] by [k, n], `batch` times. A convolution is given as its implicit
    GEMM. `weight_bytes` and `kv_bytes` are the parts of `bytes_read` that weights and the KV cache
    cause.
    """

    name: str
    kind: OpKind
    flops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    m: int = 0
    n: int = 0
    k: int = 0
    batch: int = 1
    count: int = 1
    params: int = 0
    weight_bytes: int = 0
    kv_bytes: int = 0
    dtype: str = "bf16"  # in which products are multiplied
    stored_as: str = "bf16"  # in which parameters rest in memory
    attention: AttentionShape | None = None
    parts: tuple[Part, ...] = ()

    @property
    def num_bytes(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """FLOPs per byte moved."""
        return self.flops / self.num_bytes if self.num_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    flops: int
    bytes_read: int
    bytes_written: int
    params: int
    weight_bytes: int
    kv_bytes: int
    launches: int


def total(operators: Iterable[Operator]) -> Total:
    sums = [0] * 7
    for op in operators:
        amounts = (
            op.flops,
            op.bytes_read,
            op.bytes_written,
            op.params,
            op.weight_bytes,
            op.kv_bytes,
            1 if op.num_bytes else 0,
        )
        for index, amount in enumerate(amounts):
            sums[index] += amount * op.count
    flops, read, written, params, weights, kv, launches = sums
    return Total(
        flops=flops,
        bytes_read=read,
        bytes_written=written,
        params=params,
        weight_bytes=weights,
        kv_bytes=kv,
        launches=launches,
    )
