"""Jumping over runs of equal steps gives the times of going step by step."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadsheet.cost.serving.decode_curve import DecodeSegment
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import ImageShape, StepKind, StepShape, TextShape
from loadsheet.sched.policies import POLICIES
from loadsheet.sched.scheduler import Scheduler
from loadsheet.sched.step_times import KnownStepTimes
from loadsheet.sim.device import DeviceOptions, SimDevice
from loadsheet.sim.job import Job
from loadsheet.sim.record import Record
from loadsheet.sim.router import RoundRobinRouter
from loadsheet.sim.simulation import Simulation
from loadsheet.sim.token_gaps import weighted_quantile
from loadsheet.workload.request import ImageRequest, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO

SEGMENT_TOKENS = 4_000  # the decode cost has a kink every so many tokens of context
LIMITS = DeviceLimits(
    text=(TextLimits(model="llm", num_blocks=600, max_num_seqs=12, max_waiting=1_000),),
    images=(
        ImageLimits(
            model="painter",
            sizes=(ImageSize(width=1024, height=1024, state_bytes=1),),
            budget_bytes=6,
            max_waiting=1_000,
        ),
    ),
)


class Prices:
    """Affine in tokens and images; the price per token of context grows by segment."""

    def seconds(self, kind: StepKind, model: str, shape: StepShape) -> float:
        if isinstance(shape, TextShape):
            segment = self.decode_segment(model, shape.num_decodes, shape.decode_context_tokens)
            decode_s = segment.tau0_s + segment.kappa_s_per_token * shape.decode_context_tokens
            return decode_s + 3e-5 * shape.prefill_tokens + 5e-8 * shape.prefill_context_tokens
        assert isinstance(shape, ImageShape)
        seconds = {StepKind.ENCODE: 0.008, StepKind.DENOISE: 0.0255, StepKind.VAE_DECODE: 0.04}
        return 0.001 + seconds[kind] * shape.batch

    def decode_segment(self, model: str, num_decodes: int, context_tokens: int) -> DecodeSegment:
        del model
        place = max(0, context_tokens - 1) // SEGMENT_TOKENS
        first_tokens = place * SEGMENT_TOKENS
        kappa_s = 1e-7 * (1 + place)
        start_s = 0.007 + 3e-5 * num_decodes + 1e-7 * SEGMENT_TOKENS * place * (place + 1) / 2
        return DecodeSegment(
            start_s - kappa_s * first_tokens, kappa_s, first_tokens + SEGMENT_TOKENS
        )


def jobs(count: int, rate_rps: float, text_share: float, seed: int) -> list[Job]:
    random, now_s, made = Random(seed), 0.0, []
    for idx in range(count):
        now_s += random.expovariate(rate_rps)
        name = f"r{idx}"
        if random.random() < text_share:
            output = 1 + int(random.expovariate(1 / 80))
            request = TextRequest(
                request_id=name,
                model="llm",
                arrival_s=now_s,
                prompt_tokens=random.randint(1, 1_500),
                max_output_tokens=output + random.choice((0, 0, 40)),
                slo=TextSLO(ttft_s=1.0, tpot_s=random.choice((0.02, 0.05))),
            )
            made.append(Job(request=request, class_name="chat", output_tokens=output))
        else:
            image = ImageRequest(
                request_id=name,
                model="painter",
                arrival_s=now_s,
                width=1024,
                height=1024,
                num_steps=random.randint(1, 30),
                is_guided=True,
                slo=ImageSLO(deadline_s=random.choice((1.0, 4.0))),
            )
            made.append(Job(request=image, class_name="draw"))
    return made


def simulate(load: list[Job], policy: str, *, can_jump: bool) -> tuple[list[Record], SimDevice]:
    def scheduler() -> Scheduler:
        return Scheduler(LIMITS, POLICIES[policy](), KnownStepTimes(Prices().seconds))

    device = SimDevice("d0", scheduler, Prices(), DeviceOptions(can_jump=can_jump))
    records = Simulation([device], RoundRobinRouter()).run(load)
    device.scheduler.check_integrity()
    return records, device


@settings(deadline=None, max_examples=40)
@given(
    policy=st.sampled_from(sorted(POLICIES)),
    rate_rps=st.sampled_from((0.5, 3.0, 12.0, 40.0)),
    text_share=st.sampled_from((0.0, 0.5, 0.9, 1.0)),
    seed=st.integers(0, 2**32),
)
def test_jumps_give_the_times_of_single_steps(
    policy: str, rate_rps: float, text_share: float, seed: int
) -> None:
    load = jobs(40, rate_rps, text_share, seed)
    jumped, fast = simulate(load, policy, can_jump=True)
    stepped, slow = simulate(load, policy, can_jump=False)
    assert [one.fate for one in jumped] == [one.fate for one in stepped]
    for one, other in zip(jumped, stepped, strict=True):
        assert one.end_s == pytest.approx(other.end_s, rel=1e-9)
        assert one.first_s == pytest.approx(other.first_s, rel=1e-9, nan_ok=True)
    assert fast.num_steps == slow.num_steps
    for kind, busy_s in slow.busy_s.items():
        assert fast.busy_s[kind] == pytest.approx(busy_s, rel=1e-9)
    for model, clock in slow.clocks.items():
        gaps, weights = clock.gaps.weighted()
        others, other_weights = fast.clocks[model].gaps.weighted()
        assert other_weights.sum() == weights.sum()
        if len(gaps):
            for q in (0.5, 0.99):
                expected = weighted_quantile(gaps, weights, q)
                assert weighted_quantile(others, other_weights, q) == pytest.approx(
                    expected, rel=1e-9
                )


def test_a_lone_stream_is_one_jump() -> None:
    load = jobs(1, 1.0, 1.0, 3)
    _, device = simulate(load, "slack", can_jump=True)
    assert device.num_steps > 8 * device.num_decisions
