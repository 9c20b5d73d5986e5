"""Who computes where, by a fixed rule: the whole device for one class, a half for each of two.

    lane 0   text                      ┐ each alone on all units,
    lane 1   images and encoders       ┘ or both at once on a half each

Changes happen at step boundaries. A class that becomes idle is given a short time to come back
before its half is lent, since a client that sends its next request at once would otherwise find
the whole device taken by one more long step.
"""

from collections.abc import Sequence
from dataclasses import replace

from loadsheet.sched.plan import StepPlan
from loadsheet.sched.policy import DeviceState

WHOLE, HALF = 1.0, 0.5
TEXT_LANE, OTHER_LANE = 0, 1
HOLD_STEPS = 1  # steps of the busy class during which the idle one's half is kept free


class LaneRule:
    """Remembers how long a device that was split has had work of one class only."""

    def __init__(self) -> None:
        self._held = HOLD_STEPS  # as if it had never been split

    def share(
        self, lane: int, lanes: Sequence[StepPlan | None], state: DeviceState
    ) -> float | None:
        """Of the device, for a step on this lane now; None while it has to wait."""
        if lanes[lane] is not None:
            return None
        other = lanes[1 - lane]
        if other is not None:
            return None if other.share == WHOLE else HALF
        is_split = has_work(state, 1 - lane) or self._held < HOLD_STEPS
        return HALF if is_split else WHOLE

    def note(self, lane: int, state: DeviceState) -> None:
        """A step starts on this lane."""
        if has_work(state, 1 - lane):
            self._held = 0
        else:
            self._held = min(self._held + 1, HOLD_STEPS)


def has_work(state: DeviceState, lane: int) -> bool:
    """Whether the class of the lane has requests, running or waiting."""
    if lane == TEXT_LANE:
        return any(not group.is_empty for group in state.text)
    has_images = any(not group.is_empty for group in state.images)
    return has_images or any(not group.is_empty for group in state.encoders)


def view(state: DeviceState, lane: int, share: float) -> DeviceState:
    """What a policy decides from for one lane: its own class, at the pace of its share."""
    times = state.times.at(share)
    if lane == TEXT_LANE:
        return replace(state, images=(), encoders=(), times=times)
    return replace(state, text=(), times=times)
