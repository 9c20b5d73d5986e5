"""Iterations of one text model on a simulated device: who gets a first token, who a last one."""

import heapq
from collections.abc import Sequence

from loadsheet.sched.plan import TextBatch
from loadsheet.sim.record import Record
from loadsheet.sim.token_gaps import TokenGaps


class TextClock:
    """A sequence whose first token came in iteration i gives its n-th in iteration i + n - 1."""

    def __init__(self) -> None:
        self.it = 0
        self.last_s = 0.0
        self.gaps = TokenGaps()
        self.num_tokens = 0
        self._ends: dict[int, list[Record]] = {}
        self._heap: list[int] = []

    def steps_to_end(self) -> int:
        """Iterations until somebody gives a last token; a large number when nobody runs."""
        while self._heap and self._heap[0] not in self._ends:
            heapq.heappop(self._heap)
        return self._heap[0] - self.it if self._heap else 1 << 40

    def step(self, batch: TextBatch, sampled: Sequence[Record], now_s: float) -> list[Record]:
        """One iteration ended; `sampled` got their first token. Who gave the last one."""
        self.gaps.add(now_s - self.last_s, len(batch.decodes))
        self._tick(1, len(batch.decodes) + len(sampled), now_s)
        for record in sampled:
            record.first_s = now_s
            self._file(record, self.it + record.job.output_tokens - 1)
        return self._ends.pop(self.it, [])

    def skip(self, count: int, streams: int, first_s: float, growth_s: float, now_s: float) -> None:
        """`count` decodes of `streams` sequences ended, the last at `now_s`."""
        rest_s = (count - 1) * (first_s + growth_s) + growth_s * (count - 1) * (count - 2) / 2
        self.gaps.add(now_s - rest_s - self.last_s, streams)
        self.gaps.add(first_s + growth_s, streams, growth_s=growth_s, count=count - 1)
        self._tick(count, streams * count, now_s)

    def ended_after(self, count: int) -> list[Record]:
        """Who gives the last token in the `count`-th iteration from now; asked once."""
        return self._ends.pop(self.it + count, [])

    def clear(self) -> None:
        """Everybody left at once."""
        self._ends.clear()
        self._heap.clear()

    def _tick(self, count: int, num_tokens: int, now_s: float) -> None:
        self.it += count
        self.num_tokens += num_tokens
        self.last_s = now_s

    def _file(self, record: Record, it: int) -> None:
        if it not in self._ends:
            heapq.heappush(self._heap, it)
            self._ends[it] = []
        self._ends[it].append(record)
