"""When an encoder runs: at once if it fits the slack, and never last for long.

One pass over a batch of short texts takes about as long as one token or one denoise step, and it is
all its requests need. So it goes first wherever the next token deadline leaves room for it, but at
most `TURNS` times in a row while something else could step; and where there is never room, it goes
after `TURNS` steps of others. Both sides are bounded by counts, so neither can starve the other.

The earliest deadline of all encoders leads and its model's texts fill the batch, as many as fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadsheet.sched.encoder_group import EncoderGroup, EncoderJob, shape_of
from loadsheet.sched.plan import StepKind
from loadsheet.sched.policy import DeviceState, EncoderChoice
from loadsheet.sched.step_times import StepTimes

TURNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderPick:
    """A possible encoder step and how long it takes."""

    choice: EncoderChoice
    seconds: float


def pick_texts(state: DeviceState, slack_s: float) -> EncoderPick | None:
    """The step for the earliest deadline of all encoders, cut to what fits `slack_s` but at least
    its leader; None when no text waits."""
    leaders = [(job, group) for group in state.encoders if (job := group.waiting.head())]
    if not leaders:
        return None
    _, group = min(leaders, key=lambda pair: pair[0].urgency)
    jobs = group.fitting()
    seconds = _seconds(group, jobs, state.times)
    while seconds > slack_s and len(jobs) > 1:
        jobs = jobs[: len(jobs) // 2]
        seconds = _seconds(group, jobs, state.times)
    request_ids = tuple(job.request.request_id for job in jobs)
    return EncoderPick(
        choice=EncoderChoice(model=group.model, request_ids=request_ids), seconds=seconds
    )


class EncoderTurns:
    """Memory of who went last. Told only when a step is returned, so that replay agrees."""

    def __init__(self) -> None:
        self._num_granted = 0  # encoder steps in a row while others could step
        self._num_denied = 0  # steps of others in a row while a text waited

    def take(self, pick: EncoderPick, slack_s: float, *, is_alone: bool) -> bool:
        """Whether the encoder steps now. If not, the caller returns another step."""
        if is_alone:
            self._num_granted = self._num_denied = 0
            return True
        fits = pick.seconds <= slack_s and self._num_granted < TURNS
        if fits or self._num_denied >= TURNS:
            self._num_granted, self._num_denied = self._num_granted + 1, 0
            return True
        self._num_granted, self._num_denied = 0, self._num_denied + 1
        return False


def _seconds(group: EncoderGroup, jobs: Sequence[EncoderJob], times: StepTimes) -> float:
    return times.predict(StepKind.ENCODE, group.model, shape_of(jobs))
