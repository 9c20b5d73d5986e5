"""Steps that repeat: what a device does again and again until something happens.

While one batch decodes and nobody waits, or images denoise and nothing else is there, every
boundary decides the same. A simulator takes such a run in one jump, by the same scheduler: `steady`
says what repeats, `skip` books that it did.
"""

from dataclasses import dataclass, replace

from loadsheet.sched.image_batch import keeps_running
from loadsheet.sched.image_group import ImageGroup
from loadsheet.sched.plan import StepKind, StepShape
from loadsheet.sched.policy import DeviceState, ImageChoice, TextChoice
from loadsheet.sched.text_group import TextGroup


@dataclass(frozen=True, slots=True)
class Steady:
    """`shape` is the first step's; each text step adds `num_decodes` tokens of context to it.

    At most `max_steps` of them are certain to be chosen while no event comes.
    """

    kind: StepKind
    model: str
    request_ids: tuple[str, ...]  # of images; text decodes whoever runs
    shape: StepShape
    max_steps: int

    def after(self, num_steps: int) -> "Steady":
        """What is left when this many of them ran."""
        return replace(self, max_steps=self.max_steps - num_steps)


def only_choice(state: DeviceState, now_s: float) -> TextChoice | ImageChoice | None:
    """The one thing there is to do, if it stays so by itself; None when there are more."""
    busy: TextGroup | ImageGroup | None = None
    if not all(group.is_empty for group in state.encoders):
        return None  # a text is never encoded twice
    for groups in (state.text, state.images):
        for group in groups:
            if group.is_empty:
                continue
            if busy is not None:
                return None
            busy = group
    if isinstance(busy, TextGroup):
        return TextChoice(model=busy.model, chunk_tokens=0) if busy.only_decodes else None
    return None if busy is None else keeps_running(busy, state.times, now_s)
