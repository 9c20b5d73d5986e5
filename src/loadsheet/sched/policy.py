"""The seam between deciding and doing: a policy names the next step, the scheduler builds it.

Policies read the groups; the one thing they may change is what they give up: which deadlines still
drive decisions. Books (blocks, bytes, queues) are kept in one place, so every policy obeys the same
bounds.
"""

from dataclasses import dataclass
from typing import Protocol

from loadsheet.sched.encoder_group import EncoderGroup
from loadsheet.sched.image_group import ImageGroup
from loadsheet.sched.plan import StepKind
from loadsheet.sched.step_times import StepTimes
from loadsheet.sched.text_group import TextGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChoice:
    """One iteration: every decode of the model, and at most `chunk_tokens` of its prompts."""

    model: str
    chunk_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChoice:
    """One step of `kind` for idle images of one size, or for ones that can start."""

    model: str
    kind: StepKind
    request_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderChoice:
    """One pass of an encoder for texts that wait."""

    model: str
    request_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitUntil:
    """Leave the lane idle until then, or until an event."""

    until_s: float


Choice = TextChoice | ImageChoice | EncoderChoice | WaitUntil


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What a policy decides from. The groups are live: valid within one `choose`."""

    text: tuple[TextGroup, ...]
    images: tuple[ImageGroup, ...]
    times: StepTimes
    encoders: tuple[EncoderGroup, ...] = ()


class Policy(Protocol):
    def choose(self, state: DeviceState, now_s: float) -> Choice | None:
        """The next step for a free lane; None when no group has work.

        Only calls that return a step may change memory of its own or give anything up: idle calls
        are not recorded, and a replay has to reach the same decisions without them.
        """
        ...

    def steady(self, state: DeviceState, now_s: float, max_steps: int) -> tuple[Choice, int] | None:
        """What `choose` would answer now and at each of the next boundaries, and at how many.

        At most `max_steps`, within which nothing arrives, leaves or ends. None when that is not
        certain. An answer changes memory as those calls of `choose` would.
        """
        ...
