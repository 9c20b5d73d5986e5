"""Autoregressive generation, plainly: prompt in, tokens out, one sequence.

The first pass reads the whole prompt (prefill) and every later one a single token (decode), for the
cache remembers keys and values of all before it. The engine in `text_engine.py` does the same for
many sequences at once and is tested to give the same tokens.
"""

from collections.abc import Collection, Iterator, Sequence

import torch

from loadsheet.engine.text.decoder import ContiguousAttention, Decoder
from loadsheet.engine.text.sampling import Sampler, sample
from loadsheet.runtime.payload import Sampling


@torch.inference_mode()
def generate(
    decoder: Decoder,
    prompt_ids: Sequence[int],
    *,
    max_output_tokens: int,
    sampling: Sampling,
    eos_ids: Collection[int] = (),
) -> Iterator[int]:
    """Token ids as they are drawn; an end-of-sequence token ends the iteration unseen."""
    attention = ContiguousAttention(decoder, len(prompt_ids) + max_output_tokens)
    sampler = Sampler.from_sampling(sampling)
    new_ids = list(prompt_ids)
    for _ in range(max_output_tokens):
        ids_N = torch.tensor(new_ids, device=decoder.device)
        positions_N = torch.arange(len(new_ids), device=decoder.device) + attention.num_cached
        hidden_ND = decoder.hidden(ids_N, positions_N, attention)
        attention.advance(len(new_ids))
        [token_id] = sample(decoder.logits(hidden_ND[-1:]), [sampler])
        if token_id in eos_ids:
            return
        yield token_id
        new_ids = [token_id]
