"""Whatever a server does becomes the outcome of one record, never an exception of the run."""

import pytest

from loadsheet.bench.mock_server import Pace, Piece, Reply, error_reply, text_reply
from loadsheet.bench.record import Outcome
from loadsheet.errors import ConfigError

GOOD = [0.1, 0.01, 0.01, 0.01]


def workload():
    return {
        "run": {"warmup_s": 0, "duration_s": 3, "timeout_s": 2},
        "traffic": [
            {
                "name": "chat",
                "kind": "text",
                "output_tokens": 4,
                "arrivals": {"process": "constant", "rate_rps": 2},
            }
        ],
    }


def answers(*, first_calls=2, then):
    """Good answers for the probe, then `then` for everybody."""
    calls = iter(range(1_000_000))

    def script(path, body):
        if not path.endswith("completions"):
            return Pace()(path, body)
        return text_reply(GOOD) if next(calls) < first_calls else then

    return script


def stream(*events, hangs_up=False):
    data = b"".join(b"data: " + event + b"\n\n" for event in events)
    return Reply(
        content_type="text/event-stream",
        pieces=(Piece(after_s=0.1, data=data),),
        hangs_up=hangs_up,
    )


TOKEN = b'{"choices":[{"index":0,"delta":{"content":"a"}}]}'


@pytest.mark.parametrize(
    ("reply", "outcome", "word"),
    [
        (error_reply(429, "queue is full"), Outcome.REFUSED, "queue is full"),
        (error_reply(503, "draining"), Outcome.REFUSED, "draining"),
        (error_reply(400, "too long"), Outcome.ERROR, "too long"),
        (stream(TOKEN, hangs_up=True), Outcome.ERROR, ""),
        (stream(TOKEN), Outcome.ERROR, "broke off"),
        (stream(b"[DONE]"), Outcome.ERROR, "no content"),
        (stream(TOKEN, b'{"error":{"message":"device lost"}}'), Outcome.ERROR, "device lost"),
        (stream(b"not json"), Outcome.ERROR, "JSON"),
        (stream(b'["a list"]'), Outcome.ERROR, "JSON"),
        (Reply(pieces=(Piece(after_s=0.1, data=b'{"no":"choices"}'),)), Outcome.ERROR, "JSON"),
    ],
)
def test_bad_answers_become_outcomes(bench, reply, outcome, word):
    result = bench(workload(), answers(then=reply))
    due = result.phases[0].due("chat")
    assert {record.reply.outcome for record in due} == {outcome}
    assert all(word in record.reply.error for record in due)
    (chat,) = result.summary.phases[0].classes
    assert chat.counts.due == 5
    assert chat.attainment.num_good == 0
    assert chat.latency == ()
    assert any("did not end well" in note for note in chat.notes)


def test_a_refusing_server_is_not_hammered(bench):
    """A closed loop pauses a tenth of a second after an error."""
    document = workload()
    document["traffic"][0]["arrivals"] = {"process": "closed"}
    result = bench(document, answers(then=error_reply(429, "full")))
    assert result.summary.phases[0].classes[0].counts.refused <= 31


def test_a_server_that_fails_the_first_request_is_reported_at_once(bench):
    with pytest.raises(ConfigError, match=r"first chat request .* failed: .*no such model"):
        bench(workload(), answers(first_calls=0, then=error_reply(404, "no such model")))


def test_two_models_without_kinds_must_be_named(bench):
    listing = b'{"data":[{"id":"a"},{"id":"b"}]}'

    def script(path, body):
        return Reply(pieces=(Piece(after_s=0, data=listing),))

    with pytest.raises(ConfigError, match=r"serves a, b .* --text-model"):
        bench(workload(), script)
