"""What a plan and its result mean for the requests they work for."""

from loadsheet.runtime.executor import (
    FailedOutput,
    ImageOutput,
    StepOutput,
    StepResult,
    TextOutput,
)
from loadsheet.runtime.update import Failed, Image, Token, Update
from loadsheet.sched.plan import StepKind, StepPlan, TextBatch


def first_steps(plan: StepPlan) -> list[str]:
    """The requests whose first step this is: their time in the queue ends."""
    if isinstance(plan.batch, TextBatch):
        return [chunk.request_id for chunk in plan.batch.chunks if chunk.past_tokens == 0]
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
    """Whether the scheduler must be told; images end by themselves after their VAE decode."""
    if isinstance(output, TextOutput):
        return output.finish_reason is not None
    return isinstance(output, FailedOutput)


def pictured(outputs: tuple[StepOutput, ...]) -> list[str]:
    """The requests whose image is there."""
    return [output.request_id for output in outputs if isinstance(output, ImageOutput)]


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
    return Failed(at_s=now_s, message=output.message)
