"""Times real steps through the executor contract: what `calibrate` fits a machine's rates to.

It plays the scheduler: plans of chosen shapes instead of plans that requests call for. Any
executor will do. Every configuration runs a few times and keeps its median; those that no longer
fit the time are left out, and the caller is told how many.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from loadsheet.cost.step_shape import ImageShape, StepKind, StepShape, TextShape
from loadsheet.errors import ExecutorError
from loadsheet.hardware.calibration_record import Measurement
from loadsheet.runtime.executor import Executor, FailedOutput
from loadsheet.runtime.model_card import ImageModelCard, TextModelCard
from loadsheet.runtime.payload import ImagePayload, Sampling, TextPayload
from loadsheet.sched.limits import TextLimits
from loadsheet.sched.plan import (
    BlockGrant,
    ImageBatch,
    ImageItem,
    PrefillChunk,
    StepPlan,
    TextBatch,
)
from loadsheet.workload.request import ImageRequest, TextRequest

OnStep = Callable[[str, int, int], None]  # what runs, configurations done, of how many

_DECODES = 9  # steps per configuration; the first two do not count
_WARM = 2
_OUTPUT_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTrial:
    """`num_prompts` sequences, each prefilled in `chunks`, then decoded in each of `batches`."""

    num_prompts: int
    chunks: tuple[int, ...]
    batches: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTrial:
    """`repeats` batches through a whole pipeline of `num_steps`."""

    batch: int
    is_guided: bool
    num_steps: int = 4
    repeats: int = 4


TEXT_TRIALS = (
    TextTrial(num_prompts=8, chunks=(64,), batches=(1, 2, 4, 8)),
    TextTrial(num_prompts=2, chunks=(256, 256), batches=(1, 2)),
    TextTrial(num_prompts=16, chunks=(16,), batches=(16,)),
    TextTrial(num_prompts=1, chunks=(512, 512), batches=(1,)),
    TextTrial(num_prompts=4, chunks=(384,), batches=(4,)),
)
IMAGE_TRIALS = (
    ImageTrial(batch=1, is_guided=True),
    ImageTrial(batch=4, is_guided=True),
    ImageTrial(batch=1, is_guided=False),
    ImageTrial(batch=2, is_guided=True),
    ImageTrial(batch=2, is_guided=False),
)
# other shapes than the fit sees, to check it with
TEXT_CHECKS = (
    TextTrial(num_prompts=6, chunks=(96,), batches=(3, 6)),
    TextTrial(num_prompts=3, chunks=(128, 192), batches=(1, 3)),
    TextTrial(num_prompts=12, chunks=(32,), batches=(12,)),
)
IMAGE_CHECKS = (
    ImageTrial(batch=3, is_guided=True),
    ImageTrial(batch=3, is_guided=False),
    ImageTrial(batch=6, is_guided=True, repeats=2),
)


@dataclass(slots=True)
class StepTimer:
    """`until_s` on the `time.perf_counter` clock ends the trials; `skipped` counts what it cut."""

    executor: Executor
    until_s: float
    on_step: OnStep
    skipped: int = 0
    _samples: dict[tuple[StepKind, str, object], list[tuple[StepShape, float]]] = field(
        default_factory=dict
    )
    _num_steps: int = 0
    _next_block: int = 0

    def measurements(self) -> Iterator[Measurement]:
        """One per configuration, at the middle of the contexts that its runs saw."""
        for (kind, model, _), samples in self._samples.items():
            times = [seconds for _, seconds in samples[min(_WARM, len(samples) - 1) :]]
            yield Measurement(
                kind=str(kind),
                model=model,
                shape=asdict(samples[len(samples) // 2][0]),
                seconds=statistics.median(times),
                fastest_s=min(times),
                runs=len(times),
            )

    def text(
        self, card: TextModelCard, limits: TextLimits, trials: Sequence[TextTrial] = TEXT_TRIALS
    ) -> None:
        for index, trial in enumerate(trials):
            self.on_step(f"{card.name} {sum(trial.chunks)} tokens", index, len(trials))
            self._next_block = 0
            needed = trial.num_prompts * self._blocks(trial, limits)
            if self._is_late() or needed > limits.num_blocks:
                self.skipped += 1
                continue
            self._text_trial(card, limits, trial)

    def images(self, card: ImageModelCard, trials: Sequence[ImageTrial] = IMAGE_TRIALS) -> None:
        """At the model's first size. Trials take turns, so that a busy moment of the machine does
        not meet all runs of one of them."""
        turns = [
            (trial, repeat)
            for repeat in range(max(trial.repeats for trial in trials))
            for trial in trials
            if repeat < trial.repeats
        ]
        for index, (trial, repeat) in enumerate(turns):
            self.on_step(f"{card.name} {trial.batch} images", index, len(turns))
            if not self._is_late():
                self._image_trial(card, trial)
            elif repeat == 0:
                self.skipped += 1

    def _is_late(self) -> bool:
        return time.perf_counter() >= self.until_s

    def _blocks(self, trial: TextTrial, limits: TextLimits) -> int:
        return -(-(sum(trial.chunks) + _OUTPUT_TOKENS) // limits.block_tokens)

    def _text_trial(self, card: TextModelCard, limits: TextLimits, trial: TextTrial) -> None:
        prompt = sum(trial.chunks)
        names = [f"calibrate:{self._num_steps}:{index}" for index in range(trial.num_prompts)]
        lengths = dict.fromkeys(names, prompt)
        for name in names:
            self._admit_text(name, card, prompt)
        try:
            for name in names:
                self._prefill(card.name, name, trial, self._blocks(trial, limits))
            for batch in trial.batches:
                for run in range(_DECODES):
                    if self._is_late() and run > _WARM:
                        break
                    self._decode(card.name, names[:batch], lengths, (batch, prompt))
        finally:
            for name in names:
                self.executor.release(name)

    def _admit_text(self, name: str, card: TextModelCard, prompt: int) -> None:
        request = TextRequest(
            request_id=name,
            model=card.name,
            arrival_s=0.0,
            prompt_tokens=prompt,
            max_output_tokens=_OUTPUT_TOKENS,
        )
        payload = TextPayload(
            prompt_ids=tuple(1 + (7 * place) % (card.vocab_size - 1) for place in range(prompt)),
            sampling=Sampling(temperature=0.0),
            max_output_tokens=_OUTPUT_TOKENS,
            is_eos_ignored=True,
        )
        self.executor.admit(request, payload)

    def _prefill(self, model: str, name: str, trial: TextTrial, num_blocks: int) -> None:
        past, prompt = 0, sum(trial.chunks)
        for tokens in trial.chunks:
            chunk = PrefillChunk(
                request_id=name,
                num_tokens=tokens,
                past_tokens=past,
                is_last=past + tokens == prompt,
            )
            grants: tuple[BlockGrant, ...] = ()
            if past == 0:
                ids = tuple(range(self._next_block, self._next_block + num_blocks))
                self._next_block += num_blocks
                grants = (BlockGrant(request_id=name, block_ids=ids),)
            shape = TextShape(
                num_decodes=0,
                decode_context_tokens=0,
                prefill_tokens=tokens,
                prefill_context_tokens=past,
            )
            batch = TextBatch(decodes=(), chunks=(chunk,), grants=grants)
            self._run(StepKind.TEXT, model, batch, shape, (tokens, past, "prefill"))
            past += tokens

    def _decode(
        self, model: str, names: Sequence[str], lengths: dict[str, int], key: object
    ) -> None:
        shape = TextShape(
            num_decodes=len(names),
            decode_context_tokens=sum(lengths[name] for name in names),
            prefill_tokens=0,
            prefill_context_tokens=0,
        )
        batch = TextBatch(decodes=tuple(names), chunks=(), grants=())
        self._run(StepKind.TEXT, model, batch, shape, key)
        for name in names:
            lengths[name] += 1

    def _image_trial(self, card: ImageModelCard, trial: ImageTrial) -> None:
        width, height = card.sizes[0]
        shape = ImageShape(batch=trial.batch, width=width, height=height, is_guided=trial.is_guided)
        names = [f"calibrate:{self._num_steps}:{index}" for index in range(trial.batch)]
        for seed, name in enumerate(names):
            self._admit_image(name, card, trial, seed)
        kinds = [StepKind.ENCODE, *[StepKind.DENOISE] * trial.num_steps, StepKind.VAE_DECODE]
        try:
            for index, kind in enumerate(kinds):
                items = tuple(
                    ImageItem(request_id=name, step_idx=max(index - 1, 0)) for name in names
                )
                # guidance changes denoising alone
                key = shape if kind is StepKind.DENOISE else trial.batch
                self._run(kind, card.name, ImageBatch(items=items), shape, key)
        finally:
            for name in names:
                self.executor.release(name)

    def _admit_image(self, name: str, card: ImageModelCard, trial: ImageTrial, seed: int) -> None:
        width, height = card.sizes[0]
        request = ImageRequest(
            request_id=name,
            model=card.name,
            arrival_s=0.0,
            width=width,
            height=height,
            num_steps=trial.num_steps,
            is_guided=trial.is_guided,
        )
        payload = ImagePayload(
            prompt=f"a red circle, number {seed}",
            width=width,
            height=height,
            num_steps=trial.num_steps,
            guidance_scale=max(card.default_guidance_scale, 2.0) if trial.is_guided else 1.0,
            seed=seed,
        )
        self.executor.admit(request, payload)

    def _run(
        self,
        kind: StepKind,
        model: str,
        batch: TextBatch | ImageBatch,
        shape: StepShape,
        key: object,
    ) -> None:
        self._num_steps += 1
        plan = StepPlan(
            step_id=self._num_steps,
            kind=kind,
            model=model,
            lane=0,
            batch=batch,
            shape=shape,
            predicted_s=0.0,
        )
        result = self.executor.run(plan)
        for output in result.outputs:
            if isinstance(output, FailedOutput):
                raise ExecutorError(f"{model} failed while it was timed: {output.message}")
        self._samples.setdefault((kind, model, key), []).append((shape, result.duration_s))
