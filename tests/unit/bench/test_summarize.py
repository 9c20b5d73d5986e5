"""A run by hand: twenty texts and four images in a window of ten seconds."""

import pytest

from loadsheet.bench.promise import Promise
from loadsheet.bench.record import Outcome
from loadsheet.workload.slo import ImageSLO, TextSLO


@pytest.fixture
def twenty(make_text):
    return [make_text(index, due_ms=500 * index) for index in range(20)]


def chat_of(run):
    return run.summary.phases[0].find("chat")


def art_of(run):
    return run.summary.phases[0].find("art")


def test_counts_and_rates(run_of, twenty, make_image):
    images = [make_image(index, due_ms=2000 * index) for index in range(4)]
    run = run_of([*twenty, *images])
    chat, art = chat_of(run), art_of(run)
    assert (chat.counts.due, chat.counts.ok) == (20, 20)
    assert chat.offered_rps == 2.0
    assert art.offered_rps is None  # a closed loop offers what is taken
    assert chat.rates["output_tokens_per_s"].value == pytest.approx(20 * 3 / 10)
    assert chat.rates["prompt_tokens_per_s"].value == pytest.approx(20 * 20 / 10)
    assert art.rates["images_per_s"].value == pytest.approx(0.4)
    assert art.rates["denoise_steps_per_s"].value == pytest.approx(8)
    assert art.rates["megapixels_per_s"].value == pytest.approx(0.4 * 1e4 / 1e6)


def test_decode_rate_leaves_prompts_out(run_of, twenty):
    """TTFT 100 ms, then 10 ms per token: decoding is 100 tokens/s, all in all 3 per request."""
    rates = chat_of(run_of(twenty)).rates
    assert rates["decode_tokens_per_s_per_stream"].value == pytest.approx(100)


def test_only_requests_due_in_the_window_count(run_of, twenty):
    run = run_of(twenty, window_ms=(2000, 7000))
    assert chat_of(run).counts.due == 10


def test_tokens_that_arrive_in_the_window_count_whenever_they_were_asked_for(run_of, make_text):
    early = make_text(0, due_ms=0, gaps_ms=(1900, 200, 200))  # tokens at 1.9, 2.1 and 2.3 s
    run = run_of([early, make_text(1, due_ms=2500)], window_ms=(2000, 3000))
    assert chat_of(run).rates["output_tokens_per_s"].value == pytest.approx(2 + 3)


def test_lost_requests_are_misses_and_noted(run_of, twenty, make_text):
    lost = [
        make_text(20, due_ms=100, outcome=Outcome.TIMEOUT, error="no end within 1 s"),
        make_text(21, due_ms=200, outcome=Outcome.CUT),
        make_text(22, due_ms=300, outcome=Outcome.REFUSED, error="queue is full"),
        make_text(23, due_ms=400, outcome=Outcome.ERROR, error="queue is full"),
    ]
    chat = chat_of(run_of([*twenty, *lost]))
    counts = chat.counts
    assert (counts.timeouts, counts.unfinished, counts.refused, counts.errors) == (1, 1, 1, 1)
    assert chat.attainment.share == pytest.approx(20 / 24)
    assert chat.attainment.goodput_rps == pytest.approx(2.0)
    assert chat.distribution("ttft_s").num == 20
    assert "4 of 24 requests did not end well" in chat.notes[0]
    assert chat.notes[1] == "2 times: queue is full"


def test_chunks_in_bursts_are_noted(run_of, make_text):
    burst = [make_text(index, gaps_ms=(100, 0, 0, 20)) for index in range(5)]
    assert any("67% of the chunks came together" in note for note in chat_of(run_of(burst)).notes)


def test_an_empty_window_has_no_latency_and_no_goodput(run_of):
    run = run_of([])
    assert chat_of(run).latency == ()
    assert chat_of(run).attainment.share == 0.0
    assert not run.summary.phases[0].is_joint_met


def test_client_wait_is_inside_ttft_and_shown_beside_it(run_of, make_text):
    chat = chat_of(run_of([make_text(0, wait_ms=50, gaps_ms=(100, 10, 10))]))
    assert chat.distribution("ttft_s").mean.value == pytest.approx(0.150)
    assert chat.distribution("ttft_from_send_s").mean.value == pytest.approx(0.100)
    assert chat.distribution("client_wait_s").mean.value == pytest.approx(0.050)


def test_a_promise_measured_on_one_shape_grows_with_the_work(make_image):
    promise = Promise(
        slo=ImageSLO(deadline_s=1.0), origin="alone", reference_work=100 * 100 * 10
    )  # the records take 20 steps: twice the work
    assert promise.is_kept(make_image(took_ms=1999))
    assert not promise.is_kept(make_image(took_ms=2001))


def test_a_text_promise(make_text):
    strict = Promise(slo=TextSLO(ttft_s=0.2, tpot_s=0.005), origin="workload")
    loose = Promise(slo=TextSLO(ttft_s=0.2, tpot_s=0.02), origin="workload")
    assert loose.is_kept(make_text()) and not strict.is_kept(make_text())
