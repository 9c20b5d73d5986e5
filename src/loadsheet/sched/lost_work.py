"""What cannot be in time any more, and what becomes of it.

Earliest deadline first collapses under overload: it serves whoever is closest to missing, so
everybody misses a little. What is lost is therefore given up, which means served after everything
that can still be in time, oldest first.

A started image is lost when it would be late even alone on the device; one that waits, already when
it would be late with twice the work, because text takes its share: better not to start than to hold
latents and miss. A waiting prompt is lost when its first token would be late if it ran now; a
started one is finished.
"""

from loadsheet.sched.chunk import prefill_s
from loadsheet.sched.image_group import ImageGroup, ImageJob
from loadsheet.sched.plan import StepKind
from loadsheet.sched.step_times import StepTimes
from loadsheet.sched.text_group import TextGroup

START_HEADROOM = 2.0


def alone_s(job: ImageJob, model: str, times: StepTimes) -> float:
    """Predicted seconds of what is left of an image if it had the device for itself."""
    shape = job.shape(1)
    step_s = times.predict(StepKind.DENOISE, model, shape)
    return step_s * job.steps_left + times.predict(StepKind.VAE_DECODE, model, shape)


def give_up_images(group: ImageGroup, times: StepTimes, now_s: float) -> None:
    """Only the heads are looked at: images behind them have later deadlines.

    Leaves a group alone whose started images all run on other lanes: it could turn an image that
    fits into one that does not, and then a call without a plan would have changed the order.
    """
    if not len(group.ready) and group.num_started:
        return
    for queue, headroom in ((group.ready, 1.0), (group.waiting, START_HEADROOM)):
        while (job := queue.head()) is not None:
            if now_s + headroom * alone_s(job, group.model, times) <= job.due_s:
                break
            group.give_up(job)


def give_up_prompts(group: TextGroup, times: StepTimes, now_s: float) -> None:
    """Only the head of the waiting queue is looked at."""
    while (sequence := group.waiting.head()) is not None:
        if now_s + prefill_s(group, times, sequence) <= sequence.first_token_due_s:
            break
        group.give_up(sequence)
