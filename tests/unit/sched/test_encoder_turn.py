import pytest

from loadsheet.errors import ConfigError
from loadsheet.sched.encoder_group import EncoderGroup
from loadsheet.sched.encoder_turn import TURNS, EncoderPick, EncoderTurns, pick_texts
from loadsheet.sched.event import Arrived, Cancelled, RejectReason, StepFinished
from loadsheet.sched.limits import DeviceLimits, EncoderLimits, TextLimits
from loadsheet.sched.plan import EncoderBatch, EncoderShape, StepKind
from loadsheet.sched.policies import make_scheduler
from loadsheet.sched.policy import DeviceState, EncoderChoice
from loadsheet.workload.request import EncodeRequest, TextRequest
from loadsheet.workload.slo import EncodeSLO


class PerToken:
    """10 ms for each padded token."""

    is_learning = False

    def predict(self, kind, model, shape):
        return 0.01 * shape.batch * shape.tokens

    def observe(self, kind, model, shape, seconds):
        pass

    def at(self, share):
        return self

    def margin(self, kind):
        return 0.0


def request(name, *, tokens=4, deadline=1.0, model="reader", at=0.0):
    slo = EncodeSLO(deadline_s=deadline)
    return EncodeRequest(request_id=name, model=model, arrival_s=at, num_tokens=tokens, slo=slo)


def state(*groups):
    return DeviceState(text=(), images=(), encoders=groups, times=PerToken())


def group(*requests, **limits):
    made = EncoderGroup(EncoderLimits(model=requests[0].model, **limits))
    for order, one in enumerate(requests):
        made.add(one, order)
    return made


def pick(made, slack_s=float("inf")):
    return pick_texts(state(made), slack_s)


def test_no_text_no_pick():
    assert pick_texts(state(), 1.0) is None


def test_the_earliest_deadline_leads_and_its_model_fills_the_batch():
    late = group(request("a", deadline=3.0), request("b", deadline=2.0))
    early = group(request("c", deadline=1.0, model="tuned"))
    assert pick_texts(state(late, early), 9.0).choice.request_ids == ("c",)
    assert pick(late).choice.request_ids == ("b", "a")


def test_a_batch_is_bounded_in_texts_and_padded_tokens():
    names = ("a", "b", "c", "d")
    assert len(pick(group(*map(request, names), max_batch=3)).choice.request_ids) == 3
    # a long text pads the short ones: 4 + 4 fit into 20, 3 texts of 9 do not
    made = group(
        request("a"), request("b"), request("c", tokens=9), max_batch_tokens=20, max_tokens=9
    )
    assert pick(made).choice.request_ids == ("a", "b")


def test_a_batch_shrinks_to_the_slack_but_not_below_one():
    made = group(*map(request, "abcd"))  # 40 ms each
    assert len(pick(made, slack_s=0.16).choice.request_ids) == 4
    assert len(pick(made, slack_s=0.15).choice.request_ids) == 2
    assert len(pick(made, slack_s=0.01).choice.request_ids) == 1


def a_pick(seconds):
    choice = EncoderChoice(model="reader", request_ids=("a",))
    return EncoderPick(choice=choice, seconds=seconds)


def test_what_fits_goes_at_most_a_few_times_in_a_row():
    turns = EncoderTurns()
    taken = [turns.take(a_pick(0.1), 1.0, is_alone=False) for _ in range(2 * TURNS + 2)]
    assert taken == [True] * TURNS + [False] + [True] * TURNS + [False]


def test_what_never_fits_goes_after_a_few_steps_of_others():
    turns = EncoderTurns()
    taken = [turns.take(a_pick(2.0), 1.0, is_alone=False) for _ in range(TURNS + 1)]
    assert taken == [False] * TURNS + [True]


def test_alone_it_always_goes():
    turns = EncoderTurns()
    assert all(turns.take(a_pick(9.0), 1.0, is_alone=True) for _ in range(10))


@pytest.mark.parametrize("policy", ["slack", "round-robin"])
def test_life_of_a_text(policy):
    scheduler = make_scheduler(
        DeviceLimits(encoders=(EncoderLimits(model="reader", max_tokens=9, max_waiting=2),)), policy
    )
    for name in "ab":
        assert scheduler.on_event(Arrived(request=request(name)), 0.0) is None
    refused = scheduler.on_event(Arrived(request=request("c")), 0.0)
    assert refused.reason is RejectReason.QUEUE_FULL
    assert refused.retry_after_s > 0
    scheduler.on_event(Cancelled(request_id="a"), 0.1)
    plan = scheduler.plan(0.1)
    assert plan.kind is StepKind.ENCODE
    assert plan.batch == EncoderBatch(texts=("b",))
    assert plan.shape == EncoderShape(batch=1, tokens=4)
    assert scheduler.snapshot().encoders[0].num_running == 1
    scheduler.on_event(StepFinished(step_id=plan.step_id, duration_s=0.02, ended=()), 0.2)
    assert scheduler.plan(0.2) is None
    scheduler.check_integrity()


def test_refusals_have_the_numbers():
    limits = DeviceLimits(encoders=(EncoderLimits(model="reader", max_tokens=9),))
    scheduler = make_scheduler(limits)
    long = scheduler.on_event(Arrived(request=request("a", tokens=10)), 0.0)
    assert (long.reason, "10 tokens" in long.message, "9" in long.message) == (
        RejectReason.TOO_LARGE,
        True,
        True,
    )
    empty = scheduler.on_event(Arrived(request=request("a", tokens=0)), 0.0)
    assert empty.reason is RejectReason.INVALID
    unknown = scheduler.on_event(Arrived(request=request("a", model="raeder")), 0.0)
    assert unknown.reason is RejectReason.UNKNOWN_MODEL
    assert "reader" in unknown.message


def test_decodes_wait_for_texts_that_fit_their_slack():
    """A token is due in 1 s; the prior gives a text of 4 tokens 5.4 ms: it goes first."""
    limits = DeviceLimits(
        text=(TextLimits(model="llm", num_blocks=8),),
        encoders=(EncoderLimits(model="reader"),),
    )
    scheduler = make_scheduler(limits)
    prompt = TextRequest(
        request_id="t", model="llm", arrival_s=0.0, prompt_tokens=8, max_output_tokens=8
    )
    scheduler.on_event(Arrived(request=prompt), 0.0)
    first = scheduler.plan(0.0)
    scheduler.on_event(StepFinished(step_id=first.step_id, duration_s=0.02, ended=()), 0.02)
    scheduler.on_event(Arrived(request=request("a", at=0.02)), 0.02)
    assert scheduler.plan(0.02).batch == EncoderBatch(texts=("a",))


def test_a_batch_must_hold_the_longest_text():
    with pytest.raises(ConfigError, match="max_batch_tokens"):
        EncoderLimits(model="reader", max_tokens=512, max_batch_tokens=100)
