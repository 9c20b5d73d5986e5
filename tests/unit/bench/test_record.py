import json

import pytest

from loadsheet.bench.record import Outcome, read_record_line, record_line
from loadsheet.errors import ConfigError


def test_text_records_survive_the_file(make_text):
    record = make_text(3, due_ms=5, wait_ms=2, server_queue_s=0.25, finish_reason="length")
    assert read_record_line(record_line(record)) == record


def test_image_records_survive_the_file(make_image):
    record = make_image(4, due_ms=5, chunk_ns=(7, 8))
    assert read_record_line(record_line(record)) == record


def test_failed_records_survive_the_file(make_text):
    failed = make_text(
        outcome=Outcome.REFUSED, http_status=429, error='"full"\nnow', output_tokens=None
    )
    line = record_line(failed)
    assert "\n" not in line
    assert read_record_line(line) == failed


def test_stamps_are_integers(make_text):
    document = json.loads(record_line(make_text(due_ms=1)))
    assert all(isinstance(stamp, int) for stamp in [document["due_ns"], *document["chunk_ns"]])


def test_latency_counts_from_the_due_time(make_text):
    """The client was 400 ms late: the user waited that long too."""
    timing = make_text(due_ms=1000, wait_ms=400, gaps_ms=(100, 10)).text_timing()
    assert timing.ttft_s == pytest.approx(0.5)


def test_tokens_are_the_servers_count_or_else_chunks(make_text):
    assert make_text(output_tokens=12).num_tokens == 12
    assert make_text(output_tokens=None).num_tokens == 3


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"kind":"text"}', "not json"])
def test_damaged_lines_are_refused(line):
    with pytest.raises(ConfigError, match="not a request record"):
        read_record_line(line)
