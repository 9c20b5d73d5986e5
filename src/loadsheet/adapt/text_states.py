"""Pooled states of a frozen encoder: computed once for all texts, kept on disk, looked up by text.

A linear probe with another seed, other domains or another number of examples then costs seconds.
Shapes: N texts, D hidden.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from loadsheet.adapt.text_batches import in_length_order, tokenize
from loadsheet.engine.encoder.encoder_folder import LoadedEncoder
from loadsheet.engine.encoder.pooling import sentence_embedding

States = npt.NDArray[np.float32]
OnBatch = Callable[[int, int], None]
"""(texts done, texts in all)."""

_BATCH_SIZE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStates:
    """What computing them took, however often they are read again: wall clock and all cores."""

    rows: Mapping[str, int]
    states_ND: States
    seconds_per_text: float
    cpu_s_per_text: float

    def of(self, texts: Sequence[str]) -> States:
        """[N, D] in the order of `texts`; each must be one of the known."""
        return self.states_ND[[self.rows[text] for text in texts]]


def pooled_states(
    encoder: LoadedEncoder,
    texts: Sequence[str],
    *,
    max_tokens: int,
    autocast: bool,
    on_batch: OnBatch,
) -> States:
    """States [N, D] in the order of the texts; evaluation mode, no gradient."""
    device = next(encoder.model.parameters()).device
    ids = tokenize(encoder.tokenizer, texts, max_tokens)
    states_ND = np.empty((len(texts), encoder.hidden_size), dtype=np.float32)
    num_done = 0
    encoder.model.eval()
    for batch in in_length_order(ids, _BATCH_SIZE, encoder.tokenizer.pad_token_id):
        mask_BT = batch.mask_BT.to(device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            hidden = encoder.model(input_ids=batch.ids_BT.to(device), attention_mask=mask_BT)
        pooled_BD = sentence_embedding(hidden.last_hidden_state, mask_BT)
        states_ND[list(batch.indices)] = pooled_BD.float().cpu().numpy()
        num_done += len(batch.indices)
        on_batch(num_done, len(texts))
    return states_ND


def cached_states(
    folder: Path,
    key: str,
    texts: Sequence[str],
    compute: Callable[[Sequence[str]], States],
) -> TextStates:
    """From `folder` when these texts were encoded under this key before; else computed and kept."""
    distinct = sorted(set(texts))
    digest = hashlib.sha256("\0".join((key, *distinct)).encode()).hexdigest()[:16]
    path = folder / f"states-{digest}.npz"
    if not path.exists():
        started_s, cpu_s = time.monotonic(), time.process_time()
        states_ND = compute(distinct)
        seconds = (time.monotonic() - started_s) / max(1, len(distinct))
        cpu_s = (time.process_time() - cpu_s) / max(1, len(distinct))
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp.npz")
        np.savez(unfinished, states=states_ND, seconds_per_text=seconds, cpu_s_per_text=cpu_s)
        unfinished.replace(path)
    with np.load(path) as kept:
        return TextStates(
            rows={text: row for row, text in enumerate(distinct)},
            states_ND=kept["states"],
            seconds_per_text=float(kept["seconds_per_text"]),
            cpu_s_per_text=float(kept["cpu_s_per_text"]),
        )
