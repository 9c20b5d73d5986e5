"""Which images cannot be in time any more, and what becomes of them.

Earliest deadline first collapses under overload: it serves whoever is closest to missing, so
everybody misses a little. Giving up the lost ones (they are served after all others) keeps the rest
in time. A started image is lost when it would be late even alone on the device; one that waits,
already when it would be late with twice the work, because text takes its share: better not to
start than to hold latents and miss.
"""

from loadsheet.sched.image_group import ImageGroup, ImageJob
from loadsheet.sched.plan import StepKind
from loadsheet.sched.step_times import StepTimes

START_HEADROOM = 2.0


def alone_s(job: ImageJob, model: str, times: StepTimes) -> float:
    """Predicted seconds of what is left of an image if it had the device for itself."""
    shape = job.shape(1)
    step_s = times.predict(StepKind.DENOISE, model, shape)
    return step_s * job.steps_left + times.predict(StepKind.VAE_DECODE, model, shape)


def give_up_lost(group: ImageGroup, times: StepTimes, now_s: float) -> None:
    """Only the heads are looked at: images behind them have later deadlines."""
    for queue, headroom in ((group.ready, 1.0), (group.waiting, START_HEADROOM)):
        while (job := queue.head()) is not None:
            if now_s + headroom * alone_s(job, group.model, times) <= job.due_s:
                break
            group.give_up(job)
