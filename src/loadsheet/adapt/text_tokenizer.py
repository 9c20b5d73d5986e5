"""Byte-level byte-pair encoding, learned from the training documents (arXiv:1508.07909, GPT-2).

Every document begins with one special token, which therefore also ends the document before it. A
prompt gets it too, so that a model is asked what it was trained on: text from its beginning.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from loadsheet.errors import ConfigError

END_OF_TEXT = "<|endoftext|>"
MIN_VOCAB_SIZE = 257  # every byte, and END_OF_TEXT
# A base model knows no roles: a chat is its last message, continued.
CHAT_TEMPLATE = "{{ bos_token }}{{ messages[-1]['content'] }}"


def train_tokenizer(documents: Iterable[str], vocab_size: int) -> Tokenizer:
    """Merge the most frequent pair of neighbours until `vocab_size` tokens are there."""
    if vocab_size < MIN_VOCAB_SIZE:
        raise ConfigError(
            f"vocab_size is {vocab_size}; bytes and {END_OF_TEXT} alone are {MIN_VOCAB_SIZE}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    end_id = tokenizer.token_to_id(END_OF_TEXT)
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{END_OF_TEXT} $A", special_tokens=[(END_OF_TEXT, end_id)]
            ),
        ]
    )
    return tokenizer


def encode_documents(tokenizer: Tokenizer, documents: Sequence[str]) -> npt.NDArray[np.int32]:
    """All documents end to end, each begun by END_OF_TEXT."""
    encoded = tokenizer.encode_batch_fast(list(documents))
    return np.concatenate([np.array(one.ids, dtype=np.int32) for one in encoded])


def write_tokenizer(tokenizer: Tokenizer, folder: Path, max_tokens: int) -> None:
    """`tokenizer.json` and what transformers and our server read beside it."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "model_max_length": max_tokens,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
