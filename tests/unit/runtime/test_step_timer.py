"""The step timer plays a scheduler that any executor accepts."""

import time
from dataclasses import dataclass, field

import pytest

from loadsheet.errors import ExecutorError
from loadsheet.runtime.executor import FailedOutput, StepResult
from loadsheet.runtime.model_card import ImageModelCard, TextModelCard
from loadsheet.runtime.step_timer import ImageTrial, StepTimer, TextTrial
from loadsheet.sched.limits import TextLimits
from loadsheet.sched.plan import ImageBatch, StepKind, StepPlan, TextBatch


class NoCodec:
    def encode(self, text):
        return (1,)

    encode_chat = encode

    def decode(self, token_ids):
        return ""


TALKER = TextModelCard(name="talker", max_context_tokens=512, vocab_size=50, codec=NoCodec())
PAINTER = ImageModelCard(
    name="painter",
    sizes=((64, 32),),
    default_num_steps=4,
    max_num_steps=50,
    default_guidance_scale=1.0,
)
LIMITS = TextLimits(model="talker", num_blocks=32, block_tokens=16)


@dataclass
class RecordingExecutor:
    """Takes a second per decode and ten per image step; checks blocks as an engine does."""

    fails: bool = False
    admitted: set[str] = field(default_factory=set)
    positions: dict[str, int] = field(default_factory=dict)
    cached: dict[str, int] = field(default_factory=dict)
    plans: list[StepPlan] = field(default_factory=list)

    def admit(self, request, payload) -> None:
        self.admitted.add(request.request_id)
        if request.kind == "text":
            assert len(payload.prompt_ids) == request.prompt_tokens
            assert max(payload.prompt_ids) < TALKER.vocab_size
            self.cached[request.request_id] = 0

    def run(self, plan: StepPlan) -> StepResult:
        self.plans.append(plan)
        assert set(plan.request_ids()) <= self.admitted
        if self.fails:
            output = FailedOutput(request_id=plan.request_ids()[0], message="broken")
            return StepResult(duration_s=1.0, outputs=(output,))
        if isinstance(plan.batch, ImageBatch):
            return StepResult(duration_s=10.0, outputs=())
        self._text(plan.batch)
        return StepResult(duration_s=1.0, outputs=())

    def _text(self, batch: TextBatch) -> None:
        for grant in batch.grants:
            assert max(grant.block_ids) < LIMITS.num_blocks
            self.positions[grant.request_id] = 16 * len(grant.block_ids)
        for chunk in batch.chunks:
            assert chunk.past_tokens == self.cached[chunk.request_id]
            self.cached[chunk.request_id] += chunk.num_tokens
        for name in batch.decodes:
            self.cached[name] += 1
            assert self.cached[name] <= self.positions[name]

    def release(self, request_id: str) -> None:
        self.admitted.remove(request_id)


def timer(executor: RecordingExecutor, seconds: float = 60.0) -> StepTimer:
    return StepTimer(
        executor=executor, until_s=time.perf_counter() + seconds, on_step=lambda *_: None
    )


def test_text_trials_are_measured_per_configuration() -> None:
    executor = RecordingExecutor()
    timed = timer(executor)
    timed.text(TALKER, LIMITS, [TextTrial(num_prompts=2, chunks=(16, 32), batches=(1, 2))])
    found = {
        (one.shape["num_decodes"], one.shape["prefill_tokens"]): one for one in timed.measurements()
    }
    assert set(found) == {(0, 16), (0, 32), (1, 0), (2, 0)}
    assert found[1, 0].seconds == 1.0
    assert found[0, 32].shape["prefill_context_tokens"] == 16
    assert 48 <= found[1, 0].shape["decode_context_tokens"] <= 64
    assert executor.admitted == set()


def test_image_trials_run_whole_pipelines() -> None:
    executor = RecordingExecutor()
    timed = timer(executor)
    timed.images(PAINTER, [ImageTrial(batch=2, is_guided=True, num_steps=3, repeats=2)])
    kinds = [plan.kind for plan in executor.plans]
    one_pipeline = [StepKind.ENCODE, *[StepKind.DENOISE] * 3, StepKind.VAE_DECODE]
    assert kinds == one_pipeline * 2
    assert [one.seconds for one in timed.measurements()] == [10.0] * 3
    assert [item.step_idx for item in executor.plans[3].batch.items] == [2, 2]


def test_what_does_not_fit_the_time_or_the_cache_is_counted() -> None:
    executor = RecordingExecutor()
    late = timer(executor, seconds=-1.0)
    late.text(TALKER, LIMITS)
    late.images(PAINTER)
    assert executor.plans == []
    assert late.skipped == 10
    roomy = timer(executor)
    roomy.text(TALKER, LIMITS, [TextTrial(num_prompts=9, chunks=(16,), batches=(1,))])
    assert roomy.skipped == 1


def test_a_failing_step_ends_the_calibration_and_leaves_nothing_behind() -> None:
    executor = RecordingExecutor(fails=True)
    with pytest.raises(ExecutorError, match="broken"):
        timer(executor).text(TALKER, LIMITS, [TextTrial(num_prompts=2, chunks=(16,), batches=(1,))])
    with pytest.raises(ExecutorError, match="painter failed while it was timed"):
        timer(executor).images(PAINTER)
    assert executor.admitted == set()
