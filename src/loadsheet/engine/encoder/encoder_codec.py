"""Text to the token ids of an encoder; what the server needs of a tokenizer."""

from transformers import PreTrainedTokenizerBase


class EncoderTokenizer:
    """Nothing is cut: whoever asks for too much is told so."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    @property
    def vocab_size(self) -> int:
        return len(self._tokenizer)

    def encode(self, text: str) -> tuple[int, ...]:
        """With the special tokens that the encoder was trained with."""
        return tuple(self._tokenizer(text, truncation=False, verbose=False).input_ids)

    def wrap(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        """A client's own ids between the special tokens, unless they are there already."""
        first, last = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        if token_ids and token_ids[0] == first:
            return token_ids
        return (first, *token_ids, last)
