import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadsheet.bench.sse import EventParser

STREAM = b': comment\n\ndata: {"a": 1}\n\nevent: x\ndata: {"b": 2}\n\ndata: [DONE]\n\n'
PAYLOADS = [b'{"a": 1}', b'{"b": 2}', b"[DONE]"]


def feed_in_pieces(stream, cuts):
    parser = EventParser()
    edges = [0, *sorted(cuts), len(stream)]
    return [
        payload
        for start, end in itertools.pairwise(edges)
        for payload in parser.feed(stream[start:end])
    ]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_network_may_cut_anywhere(cuts):
    assert feed_in_pieces(STREAM, cuts) == PAYLOADS


@given(cuts=st.lists(st.integers(0, len(STREAM) + 9), max_size=12))
def test_carriage_returns_may_be_cut_in_half(cuts):
    stream = STREAM.replace(b"\n", b"\r\n")
    assert feed_in_pieces(stream, [min(cut, len(stream)) for cut in cuts]) == PAYLOADS


def test_an_event_is_returned_when_it_is_complete_and_not_before():
    parser = EventParser()
    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\n") == [b"1"]


@pytest.mark.parametrize(
    ("block", "payloads"),
    [
        (b"data:no space\n\n", [b"no space"]),
        (b"data: two\ndata: lines\n\n", [b"two\nlines"]),
        (b"event: ping\n\n", []),
        (b"\n\n\n\n", []),
        (b"data: \n\n", [b""]),
    ],
)
def test_rare_forms(block, payloads):
    assert EventParser().feed(block) == payloads
