"""How long until a full queue has room: the device's predicted work, shared among who waits.

If the device works off everything it has accepted in T seconds, a queue of n requests frees a place
about every T / n seconds. Text that waits is priced at its allowed output, so the answer errs on
the late side.
"""

from loadsheet.sched.chunk import text_seconds
from loadsheet.sched.encoder_group import EncoderGroup, shape_of
from loadsheet.sched.image_group import ImageGroup
from loadsheet.sched.lost_work import alone_s
from loadsheet.sched.plan import StepKind
from loadsheet.sched.policy import DeviceState
from loadsheet.sched.step_times import StepTimes
from loadsheet.sched.text_group import TextGroup


def work_ahead_s(state: DeviceState) -> float:
    """Predicted seconds of everything that was accepted and has not run."""
    text_s = sum(_text_work_s(group, state.times) for group in state.text)
    image_s = sum(_image_work_s(group, state.times) for group in state.images)
    return text_s + image_s + sum(_encoder_work_s(group, state.times) for group in state.encoders)


def _text_work_s(group: TextGroup, times: StepTimes) -> float:
    """Waiting prompts in full chunks, then their output tokens in batches of today's size."""
    chunk_tokens = group.limits.max_chunk_tokens
    chunk_s = text_seconds(group, times, chunk_tokens)
    decode_s = text_seconds(group, times, 0)
    return (
        chunk_s * group.waiting_prompt_tokens / chunk_tokens
        + decode_s * group.waiting_output_tokens / max(1, group.num_decodes)
    )


def _image_work_s(group: ImageGroup, times: StepTimes) -> float:
    """Every accepted image alone, step by step."""
    return sum(alone_s(job, group.model, times) for job in group.jobs())


def _encoder_work_s(group: EncoderGroup, times: StepTimes) -> float:
    """Every waiting text, in batches like the next one."""
    jobs = group.fitting()
    if not jobs:
        return 0.0
    batch_s = times.predict(StepKind.ENCODE, group.model, shape_of(jobs))
    return batch_s * group.num_waiting / len(jobs)
