"""The next token of each row of logits: greedy, or drawn by temperature, top-k and top-p.

A row is drawn with one uniform number from its request's own generator, by inverting its cumulative
distribution, and nothing else of its batch matters: the same seed gives the same tokens alone or in
any batch.

Shape letters: R rows, V vocabulary, C candidates.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from loadsheet.engine.text.device_draw import draw_on_device
from loadsheet.runtime.payload import Sampling

# Below this, dividing by the temperature could overflow, and the draw would be greedy anyway.
_MIN_TEMPERATURE = 1e-5
_BLOCK = 256
# A nucleus rarely holds more tokens; where it does, the whole vocabulary is sorted.
_NUM_LIKELY = 2048

Probs = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sampler:
    """How one request draws. The generator advances by one number per drawn token."""

    sampling: Sampling
    generator: random.Random

    @classmethod
    def from_sampling(cls, sampling: Sampling) -> "Sampler":
        return cls(sampling, random.Random(sampling.seed))

    @property
    def is_greedy(self) -> bool:
        return self.sampling.temperature < _MIN_TEMPERATURE


def sample(logits_RV: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """One token id per row. Logits must be finite."""
    tokens = [int(token_id) for token_id in _argmax(logits_RV).tolist()]
    rows = [row for row, sampler in enumerate(samplers) if not sampler.is_greedy]
    if rows and logits_RV.device.type != "cpu":
        settings = [samplers[row].sampling for row in rows]
        uniforms = [samplers[row].generator.random() for row in rows]
        drawn = draw_on_device(logits_RV[rows], settings, uniforms)
    else:
        drawn = [_draw_row(logits_RV[row], samplers[row]) for row in rows]
    for row, token_id in zip(rows, drawn, strict=True):
        tokens[row] = token_id
    return tokens


def _argmax(logits_RV: Tensor) -> Tensor:
    """The best of each block's best. A CPU's argmax reads number by number, its amax does not."""
    num_rows, vocab_size = logits_RV.shape
    block = math.gcd(vocab_size, _BLOCK)
    blocks = logits_RV.reshape(num_rows, -1, block)
    best_block_R = blocks.amax(dim=-1).argmax(dim=-1)
    rows_R = torch.arange(num_rows, device=logits_RV.device)
    return best_block_R * block + blocks[rows_R, best_block_R].argmax(dim=-1)


def _draw_row(logits_V: Tensor, sampler: Sampler) -> int:
    """On the host: numpy partitions and sorts a vocabulary ten times faster than torch there."""
    sampling, uniform = sampler.sampling, sampler.generator.random()
    probs_V = logits_V.float().div(sampling.temperature).softmax(dim=-1).numpy()
    if sampling.top_k is None and sampling.top_p >= 1:
        return _invert(probs_V, uniform)
    threshold = 0.0 if sampling.top_k is None else _top_k_threshold(probs_V, sampling.top_k)
    if sampling.top_p < 1:
        threshold = max(threshold, _top_p_threshold(probs_V, threshold, sampling.top_p))
    ids_C = np.flatnonzero(probs_V >= threshold)
    return int(ids_C[_invert(probs_V[ids_C], uniform)])


def _top_k_threshold(probs_V: Probs, top_k: int) -> float:
    """The k-th largest probability; whatever is as likely is kept as well."""
    count = min(top_k, len(probs_V))
    return float(np.partition(probs_V, -count)[-count])


def _top_p_threshold(probs_V: Probs, top_k_threshold: float, top_p: float) -> float:
    """The least probability in the nucleus: the smallest set of most likely tokens whose share of
    the mass that top-k left reaches top-p (arXiv:1904.09751)."""
    mass = float(probs_V[probs_V >= top_k_threshold].sum()) if top_k_threshold else 1.0
    descending_C = _largest(probs_V, _NUM_LIKELY)
    if descending_C.sum(dtype=np.float64) < top_p * mass:
        descending_C = _largest(probs_V, len(probs_V))
    cumulative_C = descending_C.cumsum(dtype=np.float64)
    last = min(int(np.searchsorted(cumulative_C, top_p * mass)), len(descending_C) - 1)
    return float(descending_C[last])


def _largest(probs_V: Probs, count: int) -> Probs:
    """The `count` largest, in descending order."""
    if count < len(probs_V):
        probs_V = np.partition(probs_V, -count)[-count:]
    return np.sort(probs_V)[::-1]


def _invert(probs_C: Probs, uniform: float) -> int:
    """First index where the running sum passes uniform × total: among sums of blocks, then inside.

    A running sum goes number by number; sums of blocks do not.
    """
    blocks = probs_C.reshape(-1, math.gcd(len(probs_C), _BLOCK))
    ends = blocks.sum(axis=1).cumsum(dtype=np.float64)
    target = uniform * ends[-1]
    block_idx = min(int(np.searchsorted(ends, target, side="right")), len(blocks) - 1)
    inside = blocks[block_idx].cumsum(dtype=np.float64)
    inside += ends[block_idx] - inside[-1]  # so that it ends where its block does
    column = min(int(np.searchsorted(inside, target, side="right")), len(inside) - 1)
    return block_idx * blocks.shape[1] + column
