"""Devices with prices a person can add up, and jobs whose work is drawn."""

from collections.abc import Callable

import pytest

from loadsheet.cost.serving.decode_curve import DecodeSegment
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import EncoderShape, StepKind, StepPlan, StepShape
from loadsheet.sched.policies import make_policy
from loadsheet.sched.scheduler import Scheduler
from loadsheet.sched.step_times import KnownStepTimes
from loadsheet.sim.device import DeviceOptions, SimDevice
from loadsheet.sim.job import Job
from loadsheet.workload.request import EncodeRequest, ImageRequest, TextRequest
from loadsheet.workload.slo import EncodeSLO, ImageSLO, TextSLO

STEP_S = 0.1


class FlatPrices:
    """Every step of text or images takes `STEP_S`; encoding and decoding an image nothing."""

    def seconds(self, kind: StepKind, model: str, shape: StepShape) -> float:
        return 1e-12 if kind in (StepKind.ENCODE, StepKind.VAE_DECODE) else STEP_S

    def decode_segment(self, model: str, num_decodes: int, context_tokens: int) -> DecodeSegment:
        return DecodeSegment(STEP_S, 0.0, float("inf"))


class OnePrompt:
    """One prompt at a time, each one step of its own length: a single server with drawn work.

    `seconds` of a request come from its prompt: a millisecond per token. Texts of an encoder too.
    """

    def seconds(self, kind: StepKind, model: str, shape: StepShape) -> float:
        tokens = shape.tokens if isinstance(shape, EncoderShape) else shape.prefill_tokens
        return tokens * 1e-3

    def decode_segment(self, model: str, num_decodes: int, context_tokens: int) -> DecodeSegment:
        raise AssertionError("replies have one token")


@pytest.fixture
def limits() -> DeviceLimits:
    return DeviceLimits(
        text=(TextLimits(model="llm", num_blocks=1000, max_waiting=10_000),),
        images=(
            ImageLimits(
                model="painter",
                sizes=(ImageSize(width=64, height=64, state_bytes=1),),
                budget_bytes=8,
                max_waiting=10_000,
            ),
        ),
    )


@pytest.fixture
def make_device(limits: DeviceLimits) -> Callable[..., SimDevice]:
    """A device by name; flat prices unless told otherwise."""

    def make(
        name: str = "d0",
        prices: object | None = None,
        device_limits: DeviceLimits | None = None,
        policy: str = "slack",
        **options: object,
    ) -> SimDevice:
        found = prices or FlatPrices()

        def scheduler() -> Scheduler:
            times = KnownStepTimes(found.seconds)
            return Scheduler(device_limits or limits, make_policy(policy), times)

        return SimDevice(name, scheduler, found, DeviceOptions(**options))

    return make


@pytest.fixture
def one_server(make_device: Callable[..., SimDevice]) -> Callable[[str], SimDevice]:
    """A first-come, first-served single server: prompts of any length in one step, one at a time,
    in the order of arrival as all have the same promise."""
    text = TextLimits(
        model="llm",
        num_blocks=1_000_000,
        max_num_seqs=1,
        max_waiting=1_000_000,
        max_chunk_tokens=1_000_000,
        max_context_tokens=2_000_000,
    )

    def make(name: str = "d0") -> SimDevice:
        return make_device(
            name, prices=OnePrompt(), device_limits=DeviceLimits(text=(text,)), policy="round-robin"
        )

    return make


@pytest.fixture
def encode_job() -> Callable[..., Job]:
    def make(name: str, arrival_s: float, tokens: int) -> Job:
        request = EncodeRequest(
            request_id=name,
            model="bert",
            arrival_s=arrival_s,
            num_tokens=tokens,
            slo=EncodeSLO(deadline_s=1e6),
        )
        return Job(request=request, class_name="embed")

    return make


@pytest.fixture
def text_job() -> Callable[..., Job]:
    def make(
        name: str, arrival_s: float = 0.0, prompt: int = 10, output: int = 1, ttft_s: float = 1e6
    ) -> Job:
        request = TextRequest(
            request_id=name,
            model="llm",
            arrival_s=arrival_s,
            prompt_tokens=prompt,
            max_output_tokens=output,
            slo=TextSLO(ttft_s=ttft_s, tpot_s=1.0),
        )
        return Job(request=request, class_name="chat", output_tokens=output)

    return make


@pytest.fixture
def image_job() -> Callable[..., Job]:
    def make(name: str, arrival_s: float = 0.0, steps: int = 4, **more: object) -> Job:
        request = ImageRequest(
            request_id=name,
            model="painter",
            arrival_s=arrival_s,
            width=64,
            height=64,
            num_steps=steps,
            is_guided=False,
            slo=ImageSLO(deadline_s=1e6),
            **more,
        )
        return Job(request=request, class_name="draw")

    return make


@pytest.fixture
def noise() -> Callable[[StepPlan, float], float]:
    """Twice the price, always."""

    def doubled(plan: StepPlan, seconds: float) -> float:
        return 2 * seconds

    return doubled
