"""Runs the text steps of a plan: decodes fused with chunks of prefill, in one forward pass.

    admit ─► Sequence ─► run(plan): grant blocks ─► lower ─► forward ─► sample ─► outputs ─► release

Which tokens share a step is the scheduler's affair; a request's text does not depend on it.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from loadsheet.engine.text.ragged import RaggedBatch, grant_blocks, lower
from loadsheet.engine.text.sampling import Sampler, sample
from loadsheet.engine.text.sequence import Sequence
from loadsheet.engine.text.stops import StopMatcher
from loadsheet.engine.text.text_model import TextModel
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.errors import ExecutorError
from loadsheet.runtime.executor import FailedOutput, StepOutput
from loadsheet.runtime.payload import TextPayload
from loadsheet.sched.plan import StepPlan, TextBatch
from loadsheet.workload.request import TextRequest


class TextEngine:
    """One text model on one device. `admit` and `release` may be called while `run` works."""

    def __init__(self, model: TextModel, tokenizer: FolderTokenizer) -> None:
        self.tokenizer = tokenizer
        self.config = model.config
        self._model = model
        self._sequences: dict[str, Sequence] = {}

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights on their device, packed copies included."""
        return self._model.weight_bytes

    @property
    def kv_bytes_per_block(self) -> int:
        return self._model.kv_bytes // self._model.num_blocks

    @property
    def kv_bytes(self) -> int:
        return self._model.kv_bytes

    @property
    def num_blocks(self) -> int:
        return self._model.num_blocks

    @property
    def block_tokens(self) -> int:
        return self._model.block_tokens

    @property
    def max_context_tokens(self) -> int:
        return self.config.max_context_tokens

    @property
    def vocab_size(self) -> int:
        return self.config.vocab_size

    def admit(self, request: TextRequest, payload: TextPayload) -> None:
        _check(request, payload, self.vocab_size)
        self._sequences[request.request_id] = Sequence(
            request_id=request.request_id,
            token_ids=list(payload.prompt_ids),
            num_prompt=len(payload.prompt_ids),
            max_output_tokens=payload.max_output_tokens,
            eos_ids=frozenset() if payload.is_eos_ignored else self.tokenizer.eos_ids,
            sampler=Sampler.from_sampling(payload.sampling),
            detokenizer=self.tokenizer.detokenizer(),
            stops=StopMatcher(payload.stop),
        )

    def release(self, request_id: str) -> None:
        """Forget a request; its blocks can be granted again. Unknown ids are fine."""
        self._sequences.pop(request_id, None)

    def run(self, plan: StepPlan) -> tuple[StepOutput, ...]:
        """One output per decode and per last chunk, in no particular order."""
        if not isinstance(plan.batch, TextBatch):
            raise ExecutorError(f"step {plan.step_id} of kind {plan.kind} is not a text step")
        grant_blocks(plan.batch.grants, self._sequences, self._model.num_blocks)
        batch = lower(plan.batch, self._sequences, self._model.block_tokens)
        with torch.inference_mode():
            logits_RV = self._model.logits(batch, plan.share)
            self._mark_cached(plan.batch)
            return tuple(self._outputs(batch, logits_RV)) if logits_RV is not None else ()

    def _mark_cached(self, batch: TextBatch) -> None:
        for request_id in batch.decodes:
            self._sequences[request_id].num_cached += 1
        for chunk in batch.chunks:
            self._sequences[chunk.request_id].num_cached += chunk.num_tokens

    def _outputs(self, batch: RaggedBatch, logits_RV: Tensor) -> Iterator[StepOutput]:
        """A row with a NaN or an infinity fails its request and no other."""
        row_sums = logits_RV.sum(dim=-1, dtype=torch.float32).tolist()
        is_sound = [math.isfinite(row_sum) for row_sum in row_sums]
        sound_rows = [row for row, sound in enumerate(is_sound) if sound]
        if len(sound_rows) < len(is_sound):
            logits_RV = logits_RV[sound_rows]
        samplers = [batch.sampled[row].sampler for row in sound_rows]
        token_ids = iter(sample(logits_RV, samplers) if samplers else ())
        for sequence, sound in zip(batch.sampled, is_sound, strict=True):
            yield sequence.take(next(token_ids)) if sound else self._fail(sequence)

    def _fail(self, sequence: Sequence) -> FailedOutput:
        sequence.is_ended = True
        self._model.clear(sequence.block_ids)
        return FailedOutput(
            request_id=sequence.request_id,
            message="the model's logits are not finite; try fp32 or another prompt",
        )


def _check(request: TextRequest, payload: TextPayload, vocab_size: int) -> None:
    if not payload.prompt_ids or request.prompt_tokens != len(payload.prompt_ids):
        raise ExecutorError(
            f"request {request.request_id!r} announces {request.prompt_tokens} prompt tokens, its "
            f"payload has {len(payload.prompt_ids)}; both must agree and not be 0"
        )
    if request.max_output_tokens != payload.max_output_tokens:
        raise ExecutorError(
            f"request {request.request_id!r} announces {request.max_output_tokens} output tokens, "
            f"its payload {payload.max_output_tokens}"
        )
    if max(payload.prompt_ids) >= vocab_size or min(payload.prompt_ids) < 0:
        raise ExecutorError(
            f"request {request.request_id!r} has token ids outside 0..{vocab_size - 1}"
        )
