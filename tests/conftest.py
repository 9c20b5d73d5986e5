"""What tests of several folders share: a tiny encoder of the BERT family, random weights."""

import json
from pathlib import Path

import pytest

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
GOOD = ["good", "fine", "great"]
BAD = ["bad", "awful", "poor"]
THINGS = ["film", "book", "phone", "tweet"]
OTHER = ["a", "was", "the", "very", "not", "it", "is", "this", "and"]
WORDS = [*SPECIAL, *GOOD, *BAD, *THINGS, *OTHER]


@pytest.fixture(scope="session")
def make_encoder():
    """`make_encoder(folder, seed=0)`: 2 layers, 24 wide, 32 positions, a vocabulary of words."""
    # only tests that ask for it pay for torch
    import torch
    from transformers import BertConfig, BertModel

    def make(folder: Path, seed: int = 0) -> Path:
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(WORDS),
            hidden_size=24,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=32,
        )
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(WORDS))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"do_lower_case": True, "tokenizer_class": "BertTokenizerFast"})
        )
        return folder

    return make
