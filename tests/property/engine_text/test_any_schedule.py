"""However steps are cut and mixed, every request gets the tokens it would get alone.

Drawn at random: lengths, arrivals, how many prompt tokens each step may read, which decodes take
part in a step and in what order, the block size, and which blocks are dealt out.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadsheet.engine.text import paged_attention
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.runtime.executor import FinishReason, TextOutput
from loadsheet.runtime.payload import Sampling, TextPayload
from loadsheet.sched.plan import (
    BlockGrant,
    PrefillChunk,
    StepKind,
    StepPlan,
    TextBatch,
    TextShape,
)
from loadsheet.workload.request import TextRequest

SHAPE = TextShape(
    num_decodes=0, decode_context_tokens=0, prefill_tokens=0, prefill_context_tokens=0
)
NUM_BLOCKS = 200


@dataclass
class Job:
    name: str
    prompt: tuple[int, ...]
    num_output: int
    arrival_step: int
    sampling: Sampling
    num_read: int = 0
    tokens: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    is_over: bool = False

    @property
    def is_prefilling(self) -> bool:
        return self.num_read < len(self.prompt)


@st.composite
def jobs(draw: st.DrawFn) -> list[Job]:
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(1, 20),  # prompt tokens
                st.integers(1, 10),  # output tokens
                st.integers(0, 8),  # arrival
                st.sampled_from([0.0, 0.0, 1.3]),  # temperature
            ),
            min_size=1,
            max_size=5,
        )
    )
    return [
        Job(
            name=f"job{idx}",
            prompt=tuple((31 * idx + 7 * position + length) % 256 for position in range(length)),
            num_output=num_output,
            arrival_step=arrival,
            sampling=Sampling(temperature=temperature, seed=idx),
        )
        for idx, (length, num_output, arrival, temperature) in enumerate(rows)
    ]


class Driver:
    """Plays the scheduler: grants blocks as late as possible, from a shuffled free list."""

    def __init__(self, engine: TextEngine, block_tokens: int, rng: random.Random) -> None:
        self.engine = engine
        self.block_tokens = block_tokens
        self.rng = rng
        self.free = list(range(NUM_BLOCKS))
        rng.shuffle(self.free)

    def admit(self, job: Job) -> None:
        self.engine.admit(
            TextRequest(
                request_id=job.name,
                model="m",
                arrival_s=0.0,
                prompt_tokens=len(job.prompt),
                max_output_tokens=job.num_output,
            ),
            TextPayload(
                prompt_ids=job.prompt, sampling=job.sampling, max_output_tokens=job.num_output
            ),
        )

    def grant(self, job: Job, num_positions: int) -> list[BlockGrant]:
        num_missing = -(-num_positions // self.block_tokens) - len(job.blocks)
        if num_missing <= 0:
            return []
        dealt = tuple(self.free.pop() for _ in range(num_missing))
        job.blocks += dealt
        return [BlockGrant(request_id=job.name, block_ids=dealt)]

    def step(self, active: list[Job], budget: int) -> None:
        decoding = [job for job in active if not job.is_prefilling]
        self.rng.shuffle(decoding)
        decoding = decoding[: self.rng.randint(0, len(decoding))]
        grants, chunks = [], []
        for job in decoding:
            grants += self.grant(job, job.num_read + len(job.tokens))
        for job in (job for job in active if job.is_prefilling):
            num_tokens = min(self.rng.randint(1, 9), len(job.prompt) - job.num_read, budget)
            if num_tokens:
                budget -= num_tokens
                grants += self.grant(job, job.num_read + num_tokens)
                chunks.append(self.chunk(job, num_tokens))
        if decoding or chunks:
            names = tuple(job.name for job in decoding)
            batch = TextBatch(decodes=names, chunks=tuple(chunks), grants=tuple(grants))
            self.finish(active, self.engine.run(self.plan(batch)))

    def chunk(self, job: Job, num_tokens: int) -> PrefillChunk:
        chunk = PrefillChunk(
            request_id=job.name,
            num_tokens=num_tokens,
            past_tokens=job.num_read,
            is_last=job.num_read + num_tokens == len(job.prompt),
        )
        job.num_read += num_tokens
        return chunk

    def plan(self, batch: TextBatch) -> StepPlan:
        return StepPlan(
            step_id=0,
            kind=StepKind.TEXT,
            model="m",
            lane=0,
            batch=batch,
            shape=SHAPE,
            predicted_s=0.0,
        )

    def finish(self, active: list[Job], outputs: tuple[object, ...]) -> None:
        by_name = {job.name: job for job in active}
        for output in outputs:
            assert isinstance(output, TextOutput)
            job = by_name[output.request_id]
            job.tokens.append(output.token_id)
            if output.finish_reason is not None:
                assert output.finish_reason is FinishReason.LENGTH
                job.is_over = True
                self.engine.release(job.name)
                self.free += job.blocks  # the next owner finds old keys and values in them
                self.rng.shuffle(self.free)


def run(driver: Driver, jobs: list[Job], budget: int) -> None:
    step_idx = 0
    while not all(job.is_over for job in jobs):
        for job in jobs:
            if job.arrival_step == step_idx:
                driver.admit(job)
        active = [job for job in jobs if job.arrival_step <= step_idx and not job.is_over]
        driver.step(active, budget)
        step_idx += 1
        assert step_idx < 2000


@pytest.fixture(params=[512, 1], ids=["even", "uneven"], autouse=True, scope="module")
def call_tokens(request: pytest.FixtureRequest) -> Iterator[None]:
    """With 1, decodes of unlike contexts attend in groups of their own, as long ones do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paged_attention, "_CALL_TOKENS", request.param)
        yield


@settings(max_examples=25, deadline=None)
@given(
    jobs=jobs(),
    budget=st.integers(1, 24),
    block_tokens=st.sampled_from([1, 3, 4, 16]),
    seed=st.integers(0, 2**16),
)
def test_every_request_gets_its_own_tokens(
    decoder, tokenizer, jobs, budget, block_tokens, seed
) -> None:
    engine = TextEngine(
        TorchTextModel(decoder, num_blocks=NUM_BLOCKS, block_tokens=block_tokens), tokenizer
    )
    run(Driver(engine, block_tokens, random.Random(seed)), jobs, budget)
    for job in jobs:
        alone = generate(
            decoder, job.prompt, max_output_tokens=job.num_output, sampling=job.sampling
        )
        assert job.tokens == list(alone), job.name


@settings(max_examples=15, deadline=None)
@given(jobs=jobs(), budget=st.integers(1, 24), seed=st.integers(0, 2**16))
def test_openvino_gives_every_request_its_own_tokens(
    decoder, openvino_model, tokenizer, jobs, budget, seed
) -> None:
    engine = TextEngine(openvino_model, tokenizer)
    run(Driver(engine, openvino_model.block_tokens, random.Random(seed)), jobs, budget)
    for job in jobs:
        alone = generate(
            decoder, job.prompt, max_output_tokens=job.num_output, sampling=job.sampling
        )
        assert job.tokens == list(alone), job.name
