"""Series by name and number after known requests."""

import re

import pytest
from prometheus_client.registry import Collector

from loadsheet.runtime.executor import FinishReason
from loadsheet.runtime.update import Failed, Image, Rejected, Started, Token
from loadsheet.sched.event import Rejection, RejectReason
from loadsheet.server.prometheus import Telemetry
from loadsheet.server.timeline import Outcome, Timeline
from loadsheet.workload.request import ImageRequest, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO


class NoGauges(Collector):
    def collect(self):
        return ()


@pytest.fixture
def telemetry():
    return Telemetry(NoGauges())


@pytest.fixture
def series(telemetry):
    def value(line_start):
        for line in telemetry.exposition().decode().splitlines():
            if line.startswith(line_start):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no series {line_start}")

    return value


def play(telemetry, request, *updates):
    timeline = Timeline(request)
    for update in updates:
        timeline.note(update)
        telemetry.updated(timeline, update)
    telemetry.ended(timeline)


def text(slo=None):
    return TextRequest(
        request_id="t",
        model="m",
        arrival_s=0.0,
        prompt_tokens=30,
        max_output_tokens=3,
        slo=slo or TextSLO(),
    )


def image():
    return ImageRequest(
        request_id="i",
        model="p",
        arrival_s=0.0,
        width=64,
        height=32,
        num_steps=8,
        is_guided=True,
        slo=ImageSLO(deadline_s=5.0),
    )


def token(at_s, reason=None):
    return Token(at_s=at_s, token_id=1, text="", finish_reason=reason)


def test_a_text_request(telemetry, series):
    ends = (token(1.0), token(1.2), token(1.6, FinishReason.STOP))
    play(telemetry, text(), Started(at_s=0.25), *ends)
    labels = '{engine="0",model_name="m"}'
    for name, value in (
        ("prompt_tokens_total", 30),
        ("generation_tokens_total", 3),
        ("time_to_first_token_seconds_sum", 1.0),
        ("inter_token_latency_seconds_count", 2),
        ("inter_token_latency_seconds_sum", 0.6),
        ("request_time_per_output_token_seconds_sum", 0.3),
        ("e2e_request_latency_seconds_sum", 1.6),
        ("request_queue_time_seconds_sum", 0.25),
        ("request_prefill_time_seconds_sum", 0.75),
        ("request_decode_time_seconds_sum", 0.6),
        ("request_prompt_tokens_sum", 30),
        ("request_generation_tokens_sum", 3),
    ):
        assert series(f"vllm:{name}{labels}") == pytest.approx(value), name
    stopped = 'vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"}'
    assert series(stopped) == 1
    ended = 'loadsheet:requests_total{kind="text",model_name="m",outcome="stop",slo="missed"}'
    assert series(ended) == 1  # 0.3 s per token against a promise of 0.2 s


def test_an_image_request(telemetry, series, pixels):
    play(telemetry, image(), Started(at_s=1.0), Image(at_s=4.0, pixels_HWC=pixels))
    for name, value in (
        ("image_count_total", 1),
        ("image_pixels_sum", 64 * 32),
        ("num_inference_steps_sum", 8),
        ("request_queue_wait_s_sum", 1.0),
        ("stage_gen_time_s_sum", 3.0),
    ):
        assert series(f'vllm_omni:{name}{{model_name="p"}}') == pytest.approx(value), name
    ended = 'loadsheet:requests_total{kind="image",model_name="p",outcome="drawn",slo="met"}'
    assert series(ended) == 1


def test_a_failed_image_is_not_counted_as_one(telemetry, series):
    play(telemetry, image(), Failed(at_s=1.0, message="NaN"))
    assert "vllm_omni:image_count_total{" not in telemetry.exposition().decode()
    ended = 'loadsheet:requests_total{kind="image",model_name="p",outcome="error",slo="none"}'
    assert series(ended) == 1


def test_an_aborted_text(telemetry, series):
    timeline = Timeline(text())
    timeline.end(Outcome.ABORT, 2.0)
    telemetry.ended(timeline)
    aborted = 'vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"}'
    assert series(aborted) == 1


def test_a_rejection_is_no_request(telemetry, series):
    rejection = Rejection(request_id="t", reason=RejectReason.QUEUE_FULL, message="m")
    play(telemetry, text(), Rejected(at_s=0.0, rejection=rejection))
    name = 'loadsheet:rejections_total{kind="text",model_name="m",reason="queue_full"}'
    assert series(name) == 1
    assert not re.search(r"^loadsheet:requests_total", telemetry.exposition().decode(), re.M)


def test_two_apps_do_not_share_numbers(telemetry):
    play(telemetry, text(), token(1.0, FinishReason.STOP))
    assert "generation_tokens_total{" not in Telemetry(NoGauges()).exposition().decode()
