"""Token by token to text, without ever showing half a character.

A token of a byte-level vocabulary may end inside a UTF-8 character; it then decodes to text that
ends with U+FFFD, which is held back until later tokens complete it. Decoding starts a few tokens
back, because some tokenizers write a token differently at the start of a text.
"""

from collections.abc import Callable, Sequence

_REPLACEMENT = "\ufffd"
# The window of tokens decoded together is cut back once it is this long.
_MAX_WINDOW = 16


class Detokenizer:
    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._num_shown = 0  # characters of the window's text that were given out

    def feed(self, token_id: int) -> str:
        """The text this token completes; empty while a character is incomplete."""
        self._window.append(token_id)
        text = self._decode(self._window)
        is_complete = not text.endswith(_REPLACEMENT)
        # Only the last character can still change: a broken byte before it stays broken.
        delta = text[self._num_shown : len(text) if is_complete else -1]
        self._num_shown += len(delta)
        if is_complete and len(self._window) >= _MAX_WINDOW:
            del self._window[: -_MAX_WINDOW // 4]
            self._num_shown = len(self._decode(self._window))
        return delta
