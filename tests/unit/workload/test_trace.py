import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadsheet.errors import ConfigError
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.trace import Replay, TraceRow, parse_trace, read_trace, write_trace

POSITIVE = st.integers(1, 10_000)
SHAPES = st.one_of(
    st.builds(TextShape, prompt_tokens=POSITIVE, output_tokens=POSITIVE),
    st.builds(
        ImageShape,
        width=POSITIVE,
        height=POSITIVE,
        num_steps=POSITIVE,
        guidance_scale=st.none() | st.floats(0, 20),
        num_images=st.integers(1, 4),
    ),
)
ROWS = st.lists(st.builds(TraceRow, arrival_s=st.floats(0, 1e6), shape=SHAPES), max_size=20)


@given(rows=ROWS)
def test_what_is_written_is_read_back_in_order(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    write_trace(path, rows, comments=["where it comes from"])
    assert list(read_trace(path)) == sorted(rows, key=lambda row: row.arrival_s)


def test_gzipped_traces_are_read(tmp_path):
    line = '{"kind":"text","arrival_s":1,"prompt_tokens":2,"output_tokens":3}\n'
    path = tmp_path / "trace.jsonl.gz"
    path.write_bytes(gzip.compress(line.encode()))
    (row,) = read_trace(path)
    assert row == TraceRow(arrival_s=1.0, shape=TextShape(prompt_tokens=2, output_tokens=3))


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[1, 2]",
        '{"kind":"video","arrival_s":0}',
        '{"kind":"text","arrival_s":0,"prompt_tokens":5}',
        '{"kind":"text","arrival_s":0,"prompt_tokens":5,"output_tokens":1,"colour":"red"}',
        '{"kind":"text","arrival_s":0,"prompt_tokens":0,"output_tokens":1}',
        '{"arrival_s":0,"prompt_tokens":5,"output_tokens":1}',
    ],
)
def test_bad_lines_are_named(line):
    with pytest.raises(ConfigError, match="mine line 2"):
        parse_trace(["# a comment", line], "mine")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read trace"):
        read_trace(tmp_path / "nowhere.jsonl")


def rows_at(*times_s):
    shape = TextShape(prompt_tokens=100, output_tokens=10)
    return tuple(TraceRow(arrival_s=time_s, shape=shape) for time_s in times_s)


def played(**more):
    replay = Replay(source="test", rows=rows_at(0.0, 10.0, 20.0, 30.0), **more)
    return list(replay.played())


def test_replay_scales_time():
    assert [row.arrival_s for row in played(time_scale=0.1)] == [0.0, 1.0, 2.0, 3.0]


def test_replay_starts_in_the_middle_and_stops_early():
    assert [row.arrival_s for row in played(start_s=10.0, max_requests=2)] == [0.0, 10.0]


def test_replay_scales_lengths_but_keeps_a_token():
    (first, *_) = played(length_scale=0.02)
    assert first.shape == TextShape(prompt_tokens=2, output_tokens=1)


def test_replay_leaves_images_their_size():
    image = TraceRow(arrival_s=0.0, shape=ImageShape(width=64, height=64, num_steps=9))
    (row,) = Replay(source="test", rows=(image,), length_scale=0.5).played()
    assert row == image


@pytest.mark.parametrize(
    "setting", [{"time_scale": 0.0}, {"length_scale": -1.0}, {"max_requests": 0}]
)
def test_senseless_replays_are_refused(setting):
    with pytest.raises(ConfigError):
        Replay(source="test", rows=(), **setting)
