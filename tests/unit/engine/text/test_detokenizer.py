import pytest

from loadsheet.engine.text.detokenizer import Detokenizer
from loadsheet.engine.text.tokenizer import FolderTokenizer


@pytest.mark.parametrize(
    "text", ["plain words", "naïve café", "日本語のテキスト", "😀👩‍🚀 ok", "a" * 50]
)
def test_deltas_join_to_the_text_and_never_hold_half_a_character(folder, text) -> None:
    tokenizer = FolderTokenizer(folder)
    detokenizer = tokenizer.detokenizer()
    deltas = [detokenizer.feed(token_id) for token_id in tokenizer.encode(text)]
    assert "".join(deltas) == text
    assert "\ufffd" not in "".join(deltas)
    # One token per byte: each character appears with its last byte.
    assert [delta for delta in deltas if delta] == list(text)


def test_an_invalid_byte_is_replaced_once_and_the_text_goes_on(folder) -> None:
    tokenizer = FolderTokenizer(folder)
    lone_lead = tokenizer.encode("é")[0]
    token_ids = [lone_lead, *tokenizer.encode("abc")]
    detokenizer = tokenizer.detokenizer()
    deltas = [detokenizer.feed(token_id) for token_id in token_ids]
    assert deltas == ["", "\ufffda", "b", "c"]


def test_special_tokens_have_no_text(folder) -> None:
    tokenizer = FolderTokenizer(folder)
    token_ids = tokenizer.encode("a<eos>b")
    assert len(token_ids) == 3
    detokenizer = tokenizer.detokenizer()
    assert [detokenizer.feed(token_id) for token_id in token_ids] == ["a", "", "b"]


def test_a_space_that_only_shows_inside_a_text_is_kept() -> None:
    """SentencePiece-like vocabularies drop the space of the first word of what is decoded."""
    words = ("▁Hello", "▁big", "▁world", "s") * 12

    def decode(token_ids) -> str:
        return "".join(words[idx] for idx in token_ids).replace("▁", " ").removeprefix(" ")

    detokenizer = Detokenizer(decode)
    text = "".join(detokenizer.feed(token_id) for token_id in range(len(words)))
    assert text == decode(range(len(words)))


def test_work_per_token_stays_bounded() -> None:
    longest = 0

    def decode(token_ids) -> str:
        nonlocal longest
        longest = max(longest, len(token_ids))
        return "x" * len(token_ids)

    detokenizer = Detokenizer(decode)
    assert "".join(detokenizer.feed(0) for _ in range(200)) == "x" * 200
    assert longest <= 16
