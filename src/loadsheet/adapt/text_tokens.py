"""A corpus as token ids: what is trained on, in one row, and what is measured on, per source.

Shape letters: B sequences, T tokens of each.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from loadsheet.adapt.text_corpus import Source, open_corpus
from loadsheet.adapt.text_tokenizer import encode_documents, train_tokenizer
from loadsheet.errors import ConfigError

logger = logging.getLogger(__name__)

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Documents of one source, end to end, and their size as UTF-8 text."""

    source: str
    ids: Ids
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenisedCorpus:
    tokenizer: Tokenizer
    train_ids: Ids
    train_bytes: int
    held_out: tuple[HeldOut, ...]

    def batch(self, batch_size: int, num_tokens: int, generator: torch.Generator) -> Tensor:
        """Token ids [B, T + 1] from anywhere in the row: inputs and, one later, targets."""
        last = len(self.train_ids) - num_tokens - 1
        starts = torch.randint(last + 1, (batch_size,), generator=generator).tolist()
        rows = [self.train_ids[start : start + num_tokens + 1] for start in starts]
        return torch.from_numpy(np.stack(rows).astype(np.int64))


def open_tokens(
    files: Sequence[Path], vocab_size: int, corpus_folder: Path, folder: Path
) -> TokenisedCorpus:
    """Read from `folder`, where it is put when it is not there or of other text."""
    stamp_path, stamp = folder / "tokens.json", _stamp(files, vocab_size)
    if not (stamp_path.exists() and stamp_path.read_text(encoding="utf-8") == stamp):
        folder.mkdir(parents=True, exist_ok=True)
        _write(tokenise(open_corpus(files, corpus_folder), vocab_size), folder)
        stamp_path.write_text(stamp, encoding="utf-8")
    return _read(folder)


def tokenise(sources: Sequence[Source], vocab_size: int) -> TokenisedCorpus:
    """The tokenizer learns from training documents only."""
    documents = [document for source in sources for document in source.train]
    tokenizer = train_tokenizer(documents, vocab_size)
    logger.info("tokenizer vocab=%d documents=%d", tokenizer.get_vocab_size(), len(documents))
    return TokenisedCorpus(
        tokenizer=tokenizer,
        train_ids=encode_documents(tokenizer, documents),
        train_bytes=_num_bytes(documents),
        held_out=tuple(
            HeldOut(
                source=source.name,
                ids=encode_documents(tokenizer, source.held_out),
                num_bytes=_num_bytes(source.held_out),
            )
            for source in sources
        ),
    )


def check_length(corpus: TokenisedCorpus, context_tokens: int) -> None:
    """Every row must hold one window and the token after it."""
    rows = {"training": corpus.train_ids} | {one.source: one.ids for one in corpus.held_out}
    for name, ids in rows.items():
        if len(ids) <= context_tokens:
            raise ConfigError(
                f"{name} text has {len(ids)} tokens, a window of context_tokens = "
                f"{context_tokens} needs {context_tokens + 1}; give more text or a shorter context"
            )


def _stamp(files: Sequence[Path], vocab_size: int) -> str:
    """What the tokens depend on: the sizes of the files stand for what is in them."""
    sizes = {str(path): path.stat().st_size if path.exists() else None for path in files}
    return json.dumps({"files": sizes, "vocab_size": vocab_size})


def _num_bytes(documents: Sequence[str]) -> int:
    return sum(len(document.encode()) for document in documents)


def _write(corpus: TokenisedCorpus, folder: Path) -> None:
    arrays = {f"held_out.{one.source}": one.ids for one in corpus.held_out}
    sizes = {f"bytes.{one.source}": np.array(one.num_bytes) for one in corpus.held_out}
    corpus.tokenizer.save(str(folder / "tokenizer.json"))
    unfinished = folder / "unfinished.npz"
    np.savez(
        unfinished,
        allow_pickle=False,
        train=corpus.train_ids,
        train_bytes=np.array(corpus.train_bytes),
        **arrays,
        **sizes,
    )
    unfinished.replace(folder / "tokens.npz")


def _read(folder: Path) -> TokenisedCorpus:
    with np.load(folder / "tokens.npz") as stored:
        sources = [key.removeprefix("held_out.") for key in stored if key.startswith("held_out.")]
        return TokenisedCorpus(
            tokenizer=Tokenizer.from_file(str(folder / "tokenizer.json")),
            train_ids=stored["train"],
            train_bytes=int(stored["train_bytes"]),
            held_out=tuple(
                HeldOut(
                    source=source,
                    ids=stored[f"held_out.{source}"],
                    num_bytes=int(stored[f"bytes.{source}"]),
                )
                for source in sources
            ),
        )
