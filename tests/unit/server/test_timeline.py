"""Times of a request by hand: arrival 10 s, first step 11 s, tokens at 12, 12.5 and 14 s."""

import pytest

from loadsheet.runtime.executor import FinishReason
from loadsheet.runtime.update import Accepted, Failed, Image, Progress, Rejected, Started, Token
from loadsheet.sched.event import Rejection, RejectReason
from loadsheet.server.timeline import Outcome, Timeline
from loadsheet.workload.request import ImageRequest, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO


def text(slo=None):
    return Timeline(
        TextRequest(
            request_id="t",
            model="m",
            arrival_s=10.0,
            prompt_tokens=3,
            max_output_tokens=3,
            slo=slo or TextSLO(),
        )
    )


def image(deadline_s):
    return Timeline(
        ImageRequest(
            request_id="i",
            model="m",
            arrival_s=10.0,
            width=8,
            height=8,
            num_steps=2,
            is_guided=True,
            slo=ImageSLO(deadline_s=deadline_s),
        )
    )


def token(at_s, reason=None):
    return Token(at_s=at_s, token_id=1, text="a", finish_reason=reason)


def note_all(timeline, *updates):
    for update in updates:
        timeline.note(update)
    return timeline


def written(slo=None):
    return note_all(
        text(slo),
        Accepted(at_s=10.1),
        Started(at_s=11.0),
        token(12.0),
        token(12.5),
        token(14.0, FinishReason.LENGTH),
    )


def test_text_times():
    timeline = written()
    assert timeline.queue_s == pytest.approx(1.0)
    assert timeline.prefill_s == pytest.approx(1.0)
    assert timeline.ttft_s == pytest.approx(2.0)
    assert timeline.tpot_s == pytest.approx((4.0 - 2.0) / (3 - 1))
    assert timeline.decode_s == pytest.approx(2.0)
    assert timeline.e2e_s == pytest.approx(4.0)
    assert timeline.outcome is Outcome.LENGTH


@pytest.mark.parametrize(
    ("ttft_s", "tpot_s", "is_met"),
    [(2.0, 1.0, True), (1.9, 1.0, False), (2.0, 0.9, False)],
)
def test_text_slo(ttft_s, tpot_s, is_met):
    assert written(TextSLO(ttft_s=ttft_s, tpot_s=tpot_s)).is_slo_met is is_met


def test_one_token_has_no_pace():
    timeline = note_all(text(), token(10.5, FinishReason.STOP))
    assert timeline.tpot_s is None
    assert timeline.is_slo_met
    assert timeline.outcome is Outcome.STOP


def test_nothing_happened_yet():
    timeline = text()
    times = (timeline.queue_s, timeline.prefill_s, timeline.ttft_s, timeline.tpot_s)
    assert times == (None,) * 4
    assert (timeline.decode_s, timeline.e2e_s, timeline.outcome) == (None, None, None)
    assert not timeline.is_slo_met


@pytest.mark.parametrize(("deadline_s", "is_met"), [(5.0, True), (4.9, False)])
def test_image_slo(deadline_s, is_met, pixels):
    timeline = note_all(
        image(deadline_s),
        Started(at_s=11.0),
        Progress(at_s=12.0, step_idx=0, num_steps=2),
        Image(at_s=15.0, pixels_HWC=pixels),
    )
    assert timeline.outcome is Outcome.DRAWN
    assert timeline.is_slo_met is is_met


def test_failures_and_refusals_meet_nothing():
    assert note_all(text(), Failed(at_s=10.1, message="x")).outcome is Outcome.ERROR
    rejection = Rejection(request_id="t", reason=RejectReason.QUEUE_FULL, message="m")
    refused = note_all(text(), Rejected(at_s=10.1, rejection=rejection))
    assert refused.outcome is Outcome.REJECTED
    assert not refused.is_slo_met
