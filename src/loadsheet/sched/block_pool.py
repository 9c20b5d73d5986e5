"""Cache blocks of one text model: promised at start, handed out one by one as a sequence grows.

    |<------------------ num_blocks ------------------>|
    |  granted (ids in use)  |  promised  |  available |
                             |<------- free ids ------>|

A sequence starts only when its worst case fits into `available`, so growth can never fail and no
running sequence is ever evicted.
"""


class BlockPool:
    __slots__ = ("_free_ids", "_fresh_id", "_promised", "num_blocks")

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self._free_ids: list[int] = []  # a stack of those that came back
        self._fresh_id = 0  # from here on never used: a pool costs nothing to make, however large
        self._promised = 0

    @property
    def num_available(self) -> int:
        """Blocks that are neither granted nor promised."""
        return self._num_free - self._promised

    @property
    def num_granted(self) -> int:
        return self.num_blocks - self._num_free

    @property
    def _num_free(self) -> int:
        return len(self._free_ids) + self.num_blocks - self._fresh_id

    def reserve(self, num_blocks: int) -> bool:
        """Promise blocks to a sequence; False, and nothing changes, when they are not there."""
        if num_blocks > self.num_available:
            return False
        self._promised += num_blocks
        return True

    def grant(self, num_blocks: int) -> tuple[int, ...]:
        """Hand out promised blocks, at least one."""
        assert num_blocks <= self._promised, f"{num_blocks} of {self._promised} promised blocks"
        self._promised -= num_blocks
        block_ids = tuple(self._free_ids[: -num_blocks - 1 : -1])
        del self._free_ids[-num_blocks:]
        missing = num_blocks - len(block_ids)
        if missing:
            block_ids += tuple(range(self._fresh_id, self._fresh_id + missing))
            self._fresh_id += missing
        return block_ids

    def release(self, block_ids: list[int], num_promised: int) -> None:
        """Take back a sequence's blocks and what is left of its promise."""
        self._free_ids.extend(reversed(block_ids))
        self._promised -= num_promised

    def check_integrity(self, granted: list[int], num_promised: int) -> None:
        """The sequences' own books and the pool's agree; every block is in exactly one place."""
        assert sorted(granted + self._free_ids) == list(range(self._fresh_id)), "blocks lost"
        assert self._fresh_id <= self.num_blocks, "more blocks than there are"
        assert num_promised == self._promised, f"promised {self._promised}, not {num_promised}"
        assert 0 <= self._promised <= self._num_free, "more promised than free"
