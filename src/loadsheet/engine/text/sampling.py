"""The next token of each row of logits: greedy, or drawn by temperature, top-k and top-p.

A row is drawn with one uniform number from its request's own generator, by inverting its
cumulative distribution. How a row is computed depends on its own settings alone, so the same seed
gives the same tokens alone or in any batch.

Shape letters: R rows, V vocabulary, C candidates, most likely first.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from loadsheet.runtime.payload import Sampling

# A nucleus rarely holds more tokens; the rows where it does pay for sorting the vocabulary.
_NUM_LIKELY = 128


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
        return self.sampling.temperature == 0

    @property
    def is_filtered(self) -> bool:
        return self.sampling.top_k is not None or self.sampling.top_p < 1


def sample(logits_RV: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """One token id per row. Logits must be finite."""
    logits_RV = logits_RV.float()
    tokens = _as_ints(logits_RV.argmax(dim=-1))
    for is_filtered, draw in ((False, _draw_unfiltered), (True, _draw_filtered)):
        rows = [
            row
            for row, sampler in enumerate(samplers)
            if not sampler.is_greedy and sampler.is_filtered is is_filtered
        ]
        if rows:
            drawn = draw(logits_RV[rows], [samplers[row] for row in rows])
            for row, token_id in zip(rows, drawn, strict=True):
                tokens[row] = token_id
    return tokens


def _draw_unfiltered(logits_RV: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """From the whole vocabulary; token order will do, nothing is sorted."""
    probs_RV = _probabilities(logits_RV, samplers)
    return _as_ints(_invert(probs_RV, _uniforms(samplers, probs_RV)))


def _draw_filtered(logits_RV: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Top-k first, then the smallest set of what is left whose share reaches top-p."""
    probs_RV = _probabilities(logits_RV, samplers)
    uniforms_R = _uniforms(samplers, probs_RV)
    settings = [sampler.sampling for sampler in samplers]
    vocab_size = probs_RV.shape[-1]
    num_likely = min(vocab_size, max(_NUM_LIKELY, *(one.top_k or 0 for one in settings)))
    probs_RC, ids_RC = probs_RV.topk(num_likely, dim=-1)
    tokens = _draw_candidates(probs_RC, ids_RC, uniforms_R, settings)
    mass_R = probs_RC.sum(dim=-1).tolist()
    for row, one in enumerate(settings):
        if one.top_k is None and mass_R[row] < one.top_p and num_likely < vocab_size:
            only = slice(row, row + 1)
            sorted_row = probs_RV[only].sort(dim=-1, descending=True, stable=True)
            tokens[row] = _draw_candidates(*sorted_row, uniforms_R[only], settings[only])[0]
    return tokens


def _draw_candidates(
    probs_RC: Tensor, ids_RC: Tensor, uniforms_R: Tensor, settings: Sequence[Sampling]
) -> list[int]:
    num_candidates = probs_RC.shape[-1]
    ranks_C = torch.arange(num_candidates, device=probs_RC.device)
    top_k_R = probs_RC.new_tensor([one.top_k or num_candidates for one in settings])
    has_top_k_R = probs_RC.new_tensor([one.top_k is not None for one in settings])
    top_p_R = probs_RC.new_tensor([one.top_p for one in settings])

    probs_RC = probs_RC * (ranks_C < top_k_R[:, None])
    # Without top-k the shares are of the whole vocabulary, whose mass is 1.
    total_R = torch.where(has_top_k_R.bool(), probs_RC.sum(dim=-1), 1.0)
    mass_before_RC = probs_RC.cumsum(dim=-1) - probs_RC
    is_kept_RC = mass_before_RC < (top_p_R * total_R)[:, None]
    is_kept_RC[:, 0] = True
    columns_R = _invert(probs_RC * is_kept_RC, uniforms_R)
    return _as_ints(ids_RC.gather(1, columns_R[:, None])[:, 0])


def _probabilities(logits_RV: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    temperatures_R = logits_RV.new_tensor([one.sampling.temperature for one in samplers])
    # The largest logit becomes 0 first: a tiny temperature then cannot overflow.
    centred_RV = logits_RV - logits_RV.amax(dim=-1, keepdim=True)
    return (centred_RV / temperatures_R[:, None]).softmax(dim=-1)


def _uniforms(samplers: Sequence[Sampler], like: Tensor) -> Tensor:
    return like.new_tensor([sampler.generator.random() for sampler in samplers])


def _invert(weights_RC: Tensor, uniforms_R: Tensor) -> Tensor:
    """First column where the cumulative weight passes uniform × total weight."""
    cumulative_RC = weights_RC.cumsum(dim=-1)
    target_R1 = (uniforms_R * cumulative_RC[:, -1])[:, None]
    columns_R1 = torch.searchsorted(cumulative_RC, target_R1, right=True)
    # Rounding may put the target on the total itself: step back to the last column with weight.
    last_R1 = (weights_RC > 0).cumsum(dim=-1).argmax(dim=-1, keepdim=True)
    return torch.minimum(columns_R1, last_R1)[:, 0]


def _as_ints(ids_R: Tensor) -> list[int]:
    return [int(token_id) for token_id in ids_R.tolist()]
