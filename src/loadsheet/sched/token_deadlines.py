"""When the next token of a running batch is due, read in O(1).

Every running sequence advances by one token per iteration, so the deadline of its next token,
`t_first + (tokens so far)·TPOT`, is `key + (it + 1)·TPOT` with the static key
`t_first - it_start·TPOT`: the order of the sequences of one TPOT class never changes, and the
tightest deadline is the smallest key. Tokens that come early become credit; `max_gap_s` caps how
much of it may be spent at once.
"""

from loadsheet.sched.edf_queue import EdfQueue

MAX_GAP_TPOTS = 5
MIN_MAX_GAP_S = 0.25


def max_gap_s(tpot_s: float) -> float:
    """Longest stall between two tokens that credit may pay for."""
    return max(MAX_GAP_TPOTS * tpot_s, MIN_MAX_GAP_S)


class _TpotClass:
    """Sequences with one TPOT. `keys` holds those still driven by their deadline."""

    __slots__ = ("keys", "max_gap_s", "num_members", "tpot_s")

    def __init__(self, tpot_s: float) -> None:
        self.tpot_s = tpot_s
        self.max_gap_s = max_gap_s(tpot_s)
        self.keys: EdfQueue[None] = EdfQueue()
        self.num_members = 0


class TokenDeadlines:
    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[float, _TpotClass] = {}

    def add(self, key_s: float, order: int, tpot_s: float) -> None:
        members = self._classes.get(tpot_s)
        if members is None:
            members = self._classes[tpot_s] = _TpotClass(tpot_s)
        members.keys.add(key_s, order, None)
        members.num_members += 1

    def remove(self, key_s: float, order: int, tpot_s: float) -> None:
        members = self._classes[tpot_s]
        members.keys.discard(key_s, order)  # not there when it was given up
        members.num_members -= 1
        if not members.num_members:
            del self._classes[tpot_s]

    def next_s(self, it: int, last_s: float) -> float:
        """Deadline of the next iteration, after `it` of them, the last at `last_s`; or infinity."""
        earliest_s = float("inf")
        for members in self._classes.values():
            due_s = members.keys.head_deadline_s() + (it + 1) * members.tpot_s
            earliest_s = min(earliest_s, due_s, last_s + members.max_gap_s)
        return earliest_s

    def max_gap_s(self) -> float:
        """Longest stall that the tightest class allows; infinity without sequences."""
        return min((members.max_gap_s for members in self._classes.values()), default=float("inf"))

    def pace_s(self) -> float:
        """An iteration as long as this, and no longer, brings no deadline nearer."""
        return min(
            (
                min(members.max_gap_s, members.tpot_s if len(members.keys) else float("inf"))
                for members in self._classes.values()
            ),
            default=float("inf"),
        )

    def give_up(self, it: int, end_s: float, pace_s: float) -> None:
        """Stop being driven by sequences that miss even if the next iteration ends at `end_s`.

        A class that runs faster than its TPOT at `pace_s` per iteration catches up, unless it is
        further behind than credit could ever have carried it. What is given up keeps its place in
        the batch and the class's longest stall.
        """
        for members in self._classes.values():
            allowed_s = members.max_gap_s if pace_s < members.tpot_s else 0.0
            lost_before_s = end_s - allowed_s - (it + 1) * members.tpot_s
            members.keys.drop_before(lost_before_s)
