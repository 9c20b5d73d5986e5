"""Stop strings: text that may begin one is held back until it is clear whether it does."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Released:
    """Text that may be shown, and whether a stop string followed it."""

    text: str
    is_stopped: bool


class StopMatcher:
    """Feed text deltas; what comes out joins to the text before the first stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def feed(self, delta: str) -> Released:
        text = self._held + delta
        ends = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self._held = ""
            return Released(text[: min(ends)], True)
        num_held = max((_overlap(text, stop) for stop in self._stops), default=0)
        shown = text[: len(text) - num_held]
        self._held = text[len(shown) :]
        return Released(shown, False)

    def flush(self) -> str:
        """Text still held when the output ends without a stop string."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
