"""The counting rules for chunks: which of them are tokens."""

import json

import pytest

from loadsheet.bench.record import Outcome
from loadsheet.bench.text_reply import TextReply


def event(document) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def delta(finish_reason=None, **fields):
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]})


def stamps(*events: bytes) -> tuple[int, ...]:
    reader = TextReply()
    for at_ns, data in enumerate(events, start=1):
        reader.feed(data, at_ns)
    return reader.reply().chunk_ns


@pytest.mark.parametrize(
    ("data", "is_counted"),
    [
        (delta(role="assistant"), False),
        (delta(role="assistant", content=""), False),
        (delta(role="assistant", content="Hi"), True),
        (delta(content="Hi"), True),
        (delta(content=""), True),  # a token whose text is still incomplete
        (delta(content=None), False),
        (delta(finish_reason="stop"), False),
        (delta(reasoning_content="hm"), True),
        (delta(tool_calls=[{"index": 0}]), True),
        (event({"choices": [{"index": 0, "text": ""}]}), True),  # /v1/completions
        (event({"choices": [], "usage": {"completion_tokens": 1}}), False),
        (b": keep-alive\n\n", False),
        (b"data: [DONE]\n\n", False),
    ],
)
def test_what_counts_as_a_content_chunk(data, is_counted):
    assert stamps(data) == ((1,) if is_counted else ())


def test_chunks_of_one_read_share_its_stamp():
    assert stamps(delta(content="a") + delta(content="b"), delta(content="c")) == (1, 1, 2)


def test_usage_and_server_metrics_are_read():
    reader = TextReply()
    reader.feed(delta(content="a", finish_reason="length"), 1)
    usage = {"prompt_tokens": 7, "completion_tokens": 9}
    reader.feed(event({"choices": [], "usage": usage, "metrics": {"queue_time_ms": 3.0}}), 2)
    reply = reader.reply()
    assert (reply.prompt_tokens, reply.output_tokens) == (7, 9)
    assert reply.server_queue_s == pytest.approx(0.003)
    assert reply.finish_reason == "length"
    assert reply.outcome is Outcome.OK


def test_usage_in_every_chunk_keeps_the_last():
    reader = TextReply()
    for count in (1, 2, 3):
        chunk = {"choices": [{"delta": {"content": "a"}}], "usage": {"completion_tokens": count}}
        reader.feed(event(chunk), count)
    assert reader.reply().output_tokens == 3


def test_a_reply_without_stream_is_one_chunk():
    reader = TextReply()
    body = {"choices": [{"finish_reason": "stop"}], "usage": {"completion_tokens": 5}}
    reader.feed_whole(json.dumps(body).encode(), 42)
    reply = reader.reply()
    assert reply.chunk_ns == (42,)
    assert reply.output_tokens == 5
    assert reply.outcome is Outcome.OK


def test_a_cut_reply_keeps_what_came():
    reader = TextReply()
    reader.feed(delta(content="a"), 1)
    assert reader.reply(Outcome.CUT).chunk_ns == (1,)
    assert reader.reply(Outcome.CUT).outcome is Outcome.CUT
