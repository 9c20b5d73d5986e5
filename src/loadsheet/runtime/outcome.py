"""What a plan and its result mean for the requests they work for."""

from loadsheet.runtime.executor import (
    EncoderOutput,
    FailedOutput,
    ImageOutput,
    StepOutput,
    StepResult,
    TextOutput,
)
from loadsheet.runtime.update import Encoded, Failed, Image, Token, Update
from loadsheet.sched.plan import EncoderBatch, StepKind, StepPlan, TextBatch


def first_steps(plan: StepPlan) -> list[str]:
    """The requests whose first step this is: their time in the queue ends."""
    if isinstance(plan.batch, TextBatch):
        return [chunk.request_id for chunk in plan.batch.chunks if chunk.past_tokens == 0]
    if isinstance(plan.batch, EncoderBatch):
        return list(plan.batch.texts)
    if plan.kind is StepKind.ENCODE:
        return [item.request_id for item in plan.batch.items]
    return []


def step_outputs(plan: StepPlan, outcome: StepResult | Exception) -> tuple[StepOutput, ...]:
    """The outputs of a step; one that raised failed every request it worked for."""
    if isinstance(outcome, StepResult):
        return outcome.outputs
    text = f"{type(outcome).__name__}: {outcome}"
    return tuple(
        FailedOutput(request_id=request_id, message=text) for request_id in plan.request_ids()
    )


def ends_request(output: StepOutput) -> bool:
    """Whether the scheduler must be told; images and texts end with their last step."""
    if isinstance(output, TextOutput):
        return output.finish_reason is not None
    return isinstance(output, FailedOutput)


def finished(outputs: tuple[StepOutput, ...]) -> list[str]:
    """The requests whose image or vector is there: they end with this step by themselves."""
    whole = (ImageOutput, EncoderOutput)
    return [output.request_id for output in outputs if isinstance(output, whole)]


def as_update(output: StepOutput, now_s: float) -> Update:
    if isinstance(output, TextOutput):
        return Token(
            at_s=now_s,
            token_id=output.token_id,
            text=output.text,
            finish_reason=output.finish_reason,
        )
    if isinstance(output, ImageOutput):
        return Image(at_s=now_s, pixels_HWC=output.pixels_HWC)
    if isinstance(output, EncoderOutput):
        return Encoded(at_s=now_s, values=output.values)
    return Failed(at_s=now_s, message=output.message)
