"""A prior of straight lines: by hand, beside the cost model, and through an event log."""

import dataclasses

import pytest

from loadsheet.cost.step_cost import ImageStepCost, TextStepCost, step_cost
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.runtime.event_log import EventLogReader, EventLogWriter
from loadsheet.runtime.machine_prior import image_prior, text_prior
from loadsheet.runtime.replay import replay
from loadsheet.sched.affine_prior import AffinePrior, ImagePrior, TextPrior
from loadsheet.sched.event import Arrived
from loadsheet.sched.limits import DeviceLimits, TextLimits
from loadsheet.sched.plan import ImageShape, StepKind, StepPlan, TextShape
from loadsheet.sched.policies import make_scheduler
from loadsheet.sched.step_times import small_cpu_prior
from loadsheet.specs.catalog import Catalog
from loadsheet.workload.request import TextRequest

TEXT = TextPrior(iteration_s=1.0, decode_s=0.1, prefill_s=0.01, context_s=0.001)
IMAGE = ImagePrior(
    pixels=100,
    step_s={"denoise": 1.0},
    image_s={"denoise": 2.0},
    guided_step_s={"denoise": 3.0},
    guided_image_s={"denoise": 4.0},
)
PRIOR = AffinePrior(text={"talker": TEXT}, images={"painter": IMAGE})
STEP = TextShape(
    num_decodes=2, decode_context_tokens=30, prefill_tokens=5, prefill_context_tokens=10
)
H100 = DeviceCatalog().find("h100-sxm-80gb")


def test_lines_by_hand() -> None:
    assert PRIOR(StepKind.TEXT, "talker", STEP) == pytest.approx(1.0 + 0.2 + 0.05 + 0.04)
    plain = ImageShape(batch=2, width=10, height=20, is_guided=False)
    assert PRIOR(StepKind.DENOISE, "painter", plain) == pytest.approx(1.0 + 4 * 2.0)
    guided = dataclasses.replace(plain, is_guided=True)
    assert PRIOR(StepKind.DENOISE, "painter", guided) == pytest.approx(3.0 + 4 * 4.0)


def test_unknown_models_keep_the_plainest_guess() -> None:
    assert PRIOR(StepKind.TEXT, "other", STEP) == small_cpu_prior(StepKind.TEXT, "other", STEP)


def test_lines_stay_near_the_cost_model() -> None:
    cost = step_cost(Catalog().find("smollm2-135m"), H100)
    assert isinstance(cost, TextStepCost)
    lines = text_prior(cost)
    for decodes, prefill in ((1, 0), (8, 0), (4, 0), (0, 256)):
        shape = TextShape(
            num_decodes=decodes,
            decode_context_tokens=300 * decodes,
            prefill_tokens=prefill,
            prefill_context_tokens=0,
        )
        exact = cost.seconds(StepKind.TEXT, shape)
        assert lines.seconds(shape) == pytest.approx(exact, rel=0.15)
    drawing = step_cost(Catalog().find("sd-1.5"), H100)
    assert isinstance(drawing, ImageStepCost)
    prior = image_prior(drawing, 512, 512)
    for is_guided in (False, True):
        one = ImageShape(batch=1, width=512, height=512, is_guided=is_guided)
        exact = drawing.seconds(StepKind.DENOISE, one)
        assert prior.seconds(StepKind.DENOISE, one) == pytest.approx(exact)


def test_a_log_carries_its_prior_and_replays_from_it(tmp_path) -> None:
    limits = DeviceLimits(text=(TextLimits(model="talker", num_blocks=64),))
    path = tmp_path / "events.jsonl"
    scheduler = make_scheduler(limits, "slack", PRIOR)
    request = TextRequest(
        request_id="a", model="talker", arrival_s=0.0, prompt_tokens=20, max_output_tokens=3
    )
    with EventLogWriter(path, limits, "slack", PRIOR) as log:
        event = Arrived(request=request)
        scheduler.on_event(event, 0.0)
        log.record_event(event, 0.0)
        plan = scheduler.plan(0.0)
        assert isinstance(plan, StepPlan)
        log.record_plan(plan, 0.0)
    assert plan.predicted_s == pytest.approx(1.0 + 20 * 0.01)
    assert EventLogReader(path).header.prior == PRIOR
    assert replay(path) == []
    assert replay(path, make=make_scheduler) != []  # without the prior: another prediction
