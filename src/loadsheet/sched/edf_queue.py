"""A queue by earliest deadline; ties go to whoever arrived first.

A sorted list instead of a heap: requests leave from the middle (cancelled, end of sequence), and
for the few hundred entries of one device an insertion moves less memory than one step plan takes.
Nothing stale stays behind, so memory is O(entries).
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class EdfQueue(Generic[T]):
    """Entries are `(deadline_s, order, item)`; `order` is unique, so items are never compared."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, T]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        return (item for _, _, item in self._entries)

    def add(self, deadline_s: float, order: int, item: T) -> None:
        insort(self._entries, (deadline_s, order, item))

    def discard(self, deadline_s: float, order: int) -> bool:
        """Whether the entry was there. O(log n) to find."""
        place = bisect_left(self._entries, (deadline_s, order))
        if place == len(self._entries) or self._entries[place][:2] != (deadline_s, order):
            return False
        del self._entries[place]
        return True

    def head(self) -> T | None:
        return self._entries[0][2] if self._entries else None

    def head_deadline_s(self) -> float:
        """Infinity when the queue is empty."""
        return self._entries[0][0] if self._entries else float("inf")

    def drop_before(self, deadline_s: float) -> None:
        """Remove every entry whose deadline is earlier."""
        del self._entries[: bisect_left(self._entries, (deadline_s,))]
