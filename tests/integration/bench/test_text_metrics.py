"""Text metrics against scripts whose answers are worked out by hand in each test."""

import pytest

from loadsheet.bench.mock_server import Pace, Reply, text_reply
from loadsheet.bench.record import Outcome

MODELS = Pace()


def workload(arrivals, *, duration_s=10.0, warmup_s=0.0, **traffic):
    return {
        "run": {"warmup_s": warmup_s, "duration_s": duration_s, "drain_s": 5, "timeout_s": 4},
        "traffic": [
            {"name": "chat", "kind": "text", "output_tokens": 4, "arrivals": arrivals, **traffic}
        ],
    }


def one_user(**more):
    return workload({"process": "closed"}, **more)


def script(gaps_s, **more):
    def answer(path, body):
        return text_reply(gaps_s, **more) if path.endswith("completions") else MODELS(path, body)

    return answer


def only_class(result):
    (phase,) = result.summary.phases
    (found,) = phase.classes
    return found


def exactly(seconds):
    return pytest.approx(seconds, abs=1e-7)


def test_ttft_tpot_itl_and_e2e_follow_their_formulas(bench):
    chat = only_class(bench(one_user(), script([0.120, 0.010, 0.030, 0.020])))
    assert chat.distribution("ttft_s").mean.value == exactly(0.120)
    assert chat.distribution("e2e_s").mean.value == exactly(0.180)
    assert chat.distribution("tpot_s").mean.value == exactly((0.180 - 0.120) / 3)
    gaps = chat.distribution("itl_s")
    assert gaps.minimum == exactly(0.010)
    assert gaps.maximum == exactly(0.030)
    assert gaps.quantiles["p50"].value == exactly(0.020)
    assert gaps.num == 3 * chat.counts.due


def test_a_closed_loop_of_one_user_sends_back_to_back(bench):
    # each answer takes 0.18 s, so 10 s hold 56 sends (0, 0.18, … 9.9)
    chat = only_class(bench(one_user(), script([0.120, 0.010, 0.030, 0.020])))
    assert chat.counts.due == 56
    assert chat.counts.ok == 56
    assert chat.rates["output_tokens_per_s"].value == pytest.approx(4 / 0.18, rel=0.02)
    assert chat.rates["decode_tokens_per_s_per_stream"].value == exactly(1 / 0.020)


def test_think_time_comes_between_answer_and_next_send(bench):
    document = workload({"process": "closed", "concurrency": 2, "think_s": 0.82})
    chat = only_class(bench(document, script([0.120, 0.010, 0.030, 0.020])))
    assert chat.counts.due == 2 * 10  # one second per turn and user


def test_prompt_tokens_count_when_the_first_token_arrives(bench):
    chat = only_class(bench(one_user(), script([0.5, 0, 0, 0], prompt_tokens=100)))
    assert chat.rates["prompt_tokens_per_s"].value == pytest.approx(200, rel=0.06)


def test_several_tokens_per_chunk_are_noticed(bench):
    def answer(path, body):
        reply = text_reply([0.1, 0.1])
        pieces = [
            piece.__class__(
                after_s=piece.after_s,
                data=piece.data.replace(b'"completion_tokens": 2', b'"completion_tokens": 6'),
            )
            for piece in reply.pieces
        ]
        whole = Reply(content_type=reply.content_type, pieces=tuple(pieces))
        return whole if path.endswith("completions") else MODELS(path, body)

    chat = only_class(bench(one_user(), answer))
    assert chat.tokens_per_chunk == pytest.approx(3)
    assert chat.distribution("tpot_s").mean.value == exactly(0.1 / 5)  # tokens, not chunks
    assert any("3.00 tokens per chunk" in note for note in chat.notes)


def test_the_servers_own_queue_time_is_read(bench):
    chat = only_class(bench(one_user(), script([0.1, 0, 0, 0], queue_ms=12.5)))
    assert chat.distribution("server_queue_s").mean.value == exactly(0.0125)


def test_open_loop_latency_counts_from_the_scheduled_send(bench):
    # a metronome of 10 requests/s, whatever the answers do: 0.1, 0.2, … 9.9 are due in 10 s
    result = bench(workload({"process": "constant", "rate_rps": 10}), script([0.3, 0, 0, 0.1]))
    (phase,) = result.phases
    records = sorted(phase.due("chat"), key=lambda record: record.due_ns)
    start_ns = phase.window.start_ns
    assert [record.due_ns - start_ns for record in records[:3]] == [
        100_000_000, 200_000_000, 300_000_000
    ]  # fmt: skip
    assert len(records) == 99
    assert only_class(result).offered_rps == pytest.approx(9.9)
    assert only_class(result).distribution("e2e_s").maximum == exactly(0.4)


def test_warm_up_requests_are_played_but_not_measured(bench):
    """Two probes and the first answers are slow; from the fifth on they are fast."""
    turn = iter(range(1_000_000))

    def answer(path, body):
        if not path.endswith("completions"):
            return MODELS(path, body)
        return text_reply([0.5 if next(turn) < 5 else 0.1, 0, 0, 0])

    result = bench(one_user(warmup_s=2.0), answer)
    ok = [record for record in result.phases[0].records if record.is_ok]
    assert max(record.text_timing().ttft_s for record in ok) == exactly(0.5)
    assert only_class(result).distribution("ttft_s").maximum == exactly(0.1)


def test_goodput_counts_requests_that_meet_every_objective(bench):
    """Every second answer is late: TTFT 0.4 s against a promise of 0.3 s."""
    turn = iter(range(1_000_000))

    def answer(path, body):
        if not path.endswith("completions"):
            return MODELS(path, body)
        return text_reply([0.4 if next(turn) % 2 else 0.1, 0, 0, 0])

    document = workload(
        {"process": "constant", "rate_rps": 4},
        slo={"ttft_s": 0.3, "tpot_s": 0.1, "percentile": 0.9},
    )
    kept = only_class(bench(document, answer)).attainment
    assert kept.num_good in (19, 20)  # of 39
    assert kept.goodput_rps == pytest.approx(kept.num_good / 10)
    assert not kept.is_met


def test_slow_answers_time_out_and_count_as_misses(bench):
    turn = iter(range(1_000_000))

    def answer(path, body):
        if not path.endswith("completions"):
            return MODELS(path, body)
        return text_reply([9.0 if next(turn) == 2 else 0.1, 0, 0, 0])

    chat = only_class(bench(workload({"process": "constant", "rate_rps": 1}), answer))
    assert chat.counts.timeouts == 1
    assert chat.attainment.num_good == chat.counts.due - 1
    assert chat.distribution("ttft_s").maximum == exactly(0.1)


def test_what_still_runs_after_the_drain_is_unfinished(bench):
    turn = iter(range(1_000_000))

    def answer(path, body):
        if not path.endswith("completions"):
            return MODELS(path, body)
        return text_reply([0.1, 100.0, 0, 0] if next(turn) == 10 else [0.1, 0, 0, 0])

    document = workload({"process": "constant", "rate_rps": 1})
    document["run"] |= {"timeout_s": 1000.0}
    result = bench(document, answer)
    chat = only_class(result)
    assert chat.counts.unfinished == 1
    cut = [record for record in result.phases[0].records if record.reply.outcome is Outcome.CUT]
    assert any(len(record.reply.chunk_ns) == 1 for record in cut)  # what came is kept
    assert result.phases[0].records[-1].ended_s <= 10 + 5 + 1


def test_the_load_goes_on_while_the_window_drains(bench):
    """The last request of the window takes 2 s; later arrivals keep coming meanwhile."""
    turn = iter(range(1_000_000))

    def answer(path, body):
        if not path.endswith("completions"):
            return MODELS(path, body)
        return text_reply([2.0, 0, 0, 0] if next(turn) == 10 else [0.1, 0, 0, 0])

    result = bench(workload({"process": "constant", "rate_rps": 1}), answer)
    (phase,) = result.phases
    after = [record for record in phase.records if record.due_ns >= phase.window.end_ns]
    assert len(after) >= 1
    assert phase.window.length_s == pytest.approx(10)


def test_a_stop_leaves_a_shorter_window_and_its_numbers(bench):
    result = bench(one_user(duration_s=100.0), script([0.1, 0, 0, 0.1]), stop_at_s=6.0)
    assert result.is_interrupted
    (phase,) = result.summary.phases
    assert phase.window.length_s < 6.0
    assert only_class(result).counts.ok >= 20
    assert only_class(result).rates["output_tokens_per_s"].value == pytest.approx(20, rel=0.1)


def test_a_stop_while_warming_up_leaves_no_phase(bench):
    result = bench(one_user(warmup_s=50.0), script([0.1, 0, 0, 0.1]), stop_at_s=6.0)
    assert result.summary.phases == ()
