"""The tokenizer loses nothing, begins every document, and reads the same from its folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from loadsheet.adapt.text_tokenizer import (
    END_OF_TEXT,
    MIN_VOCAB_SIZE,
    encode_documents,
    train_tokenizer,
    write_tokenizer,
)
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.errors import ConfigError
from loadsheet.runtime.model_card import ChatMessage

DOCUMENTS = ["the cat sat on the mat", "the dog sat on the log"] * 20
TOKENIZER = train_tokenizer(DOCUMENTS, 300)


@given(st.text())
def test_any_text_comes_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=True) == text


def test_it_learned_to_merge():
    assert TOKENIZER.get_vocab_size() > MIN_VOCAB_SIZE
    assert len(TOKENIZER.encode("the cat").ids) < 1 + len("the cat")


def test_every_document_is_begun():
    end_id = TOKENIZER.token_to_id(END_OF_TEXT)
    ids = encode_documents(TOKENIZER, ["the cat", "the dog"]).tolist()
    assert ids[0] == end_id
    assert ids.count(end_id) == 2
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "the catthe dog"


def test_the_folder_reads_the_same_here_and_in_transformers(tmp_path):
    write_tokenizer(TOKENIZER, tmp_path, 64)
    ours, theirs = FolderTokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    text = "the cat sat — über 1,000 dogs"
    assert list(ours.encode(text)) == theirs(text)["input_ids"] == TOKENIZER.encode(text).ids
    assert ours.eos_ids == {TOKENIZER.token_to_id(END_OF_TEXT)} == {theirs.eos_token_id}


def test_a_chat_continues_its_last_message(tmp_path):
    write_tokenizer(TOKENIZER, tmp_path, 64)
    turns = (ChatMessage(role="system", content="be kind"), ChatMessage(role="user", content="the"))
    ours = FolderTokenizer(tmp_path)
    assert ours.encode_chat(turns) == ours.encode("the")


def test_a_vocabulary_without_room_for_bytes_is_refused():
    with pytest.raises(ConfigError, match="vocab_size is 256"):
        train_tokenizer(DOCUMENTS, 256)
