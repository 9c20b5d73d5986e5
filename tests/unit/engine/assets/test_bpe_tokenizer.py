import json
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from loadsheet.engine.assets.bpe_tokenizer import tokenizer_config, tokenizer_table
from loadsheet.engine.assets.gguf_file import read_gguf
from loadsheet.errors import AssetError


@pytest.fixture
def tokenizer(tiny_gguf: Path) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer_table(read_gguf(tiny_gguf))))


def test_digits_stand_alone(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("t12 3").tokens == ["t", "1", "2", "Ġ", "3"]


def test_line_breaks_before_a_digit_merge(tokenizer: Tokenizer) -> None:
    # without the digit rule the GPT-2 pattern keeps the last line break apart
    assert tokenizer.encode("a\n\n1").tokens == ["a", "ĊĊ", "1"]


def test_merges_apply(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("he the").tokens == ["he", "Ġt", "he"]


def test_special_tokens_are_one_id_and_skipped_in_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<|im_start|>he<|im_end|>").ids
    assert (ids[0], ids[-1]) == (1, 2)
    assert tokenizer.decode(ids) == "he"


def test_config_names_the_special_tokens(tiny_gguf: Path) -> None:
    config = tokenizer_config(read_gguf(tiny_gguf))
    assert (config["bos_token"], config["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert (config["pad_token"], config["unk_token"]) == ("<|im_end|>", "<|endoftext|>")


def test_an_unknown_pre_tokenizer_is_refused(tiny_gguf: Path) -> None:
    file = read_gguf(tiny_gguf)
    other = replace(file, fields=file.fields | {"tokenizer.ggml.pre": "martian"})
    with pytest.raises(AssetError, match="martian"):
        tokenizer_table(other)
