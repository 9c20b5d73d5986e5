"""Other tools' shapes with other tools' definitions."""

import json

import pytest

from loadsheet.bench.exports import write_exports
from loadsheet.bench.record import Outcome
from loadsheet.bench.summary_json import summary_document

VLLM_KEYS = {
    "date", "backend", "model_id", "num_prompts", "request_rate", "burstiness", "max_concurrency",
    "duration", "completed", "failed", "total_input_tokens", "total_output_tokens",
    "request_throughput", "request_goodput", "output_throughput", "total_token_throughput",
    "mean_ttft_ms", "median_ttft_ms", "std_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "p99_itl_ms",
    "mean_e2el_ms", "input_lens", "output_lens", "ttfts", "itls", "errors",
}  # fmt: skip


@pytest.fixture
def written(run_of, make_text, make_image, tmp_path):
    texts = [make_text(index, due_ms=1000 * index, wait_ms=20) for index in range(5)]
    failed = make_text(5, due_ms=5000, outcome=Outcome.ERROR, error="boom", http_status=500)
    run = run_of([*texts, failed, *(make_image(index, due_ms=2000 * index) for index in range(3))])
    write_exports(tmp_path, run)
    return tmp_path / "mixed"


def read(path):
    return json.loads(path.read_text())


def test_vllm_shape(written):
    document = read(written / "chat" / "vllm.json")
    assert document.keys() >= VLLM_KEYS
    assert (document["completed"], document["failed"]) == (5, 1)
    assert document["mean_ttft_ms"] == pytest.approx(100)  # from the send, as vLLM does
    assert document["mean_tpot_ms"] == pytest.approx(10)
    assert document["mean_e2el_ms"] == pytest.approx(120)
    assert document["output_throughput"] == pytest.approx(15 / 10)
    assert document["itls"][0] == pytest.approx([0.01, 0.01])
    assert document["errors"][5] == "boom"
    assert len(document["ttfts"]) == len(document["input_lens"]) == 6


def test_aiperf_summary_shape(written):
    document = read(written / "chat" / "profile_export_aiperf.json")
    ttft = document["time_to_first_token"]
    assert ttft["unit"] == "ms"
    assert ttft["avg"] == ttft["p99"] == pytest.approx(100)
    assert ttft["count"] == 5
    # the response ends 1 ms after the last chunk: (121 − 100) / 2
    assert document["inter_token_latency"]["avg"] == pytest.approx(10.5)
    assert document["request_count"]["avg"] == 5
    assert document["error_summary"] == [
        {"error_details": {"code": 500, "message": "boom"}, "count": 1}
    ]


def test_aiperf_record_shape(written):
    lines = (written / "chat" / "profile_export.jsonl").read_text().splitlines()
    first, *_, last = (json.loads(line) for line in lines)
    metadata = first["metadata"]
    assert metadata["request_start_ns"] - metadata["credit_issued_ns"] == 20_000_000
    assert first["metrics"]["inter_chunk_latency"] == {
        "value": pytest.approx([10, 10]),
        "unit": "ms",
    }
    assert last["error"] == {"code": 500, "type": "error", "message": "boom"}
    assert last["metrics"] == {}


def test_aiperf_images(written):
    document = read(written / "art" / "profile_export_aiperf.json")
    assert document["image_latency"]["avg"] == pytest.approx(1000)
    assert document["image_throughput"]["avg"] == pytest.approx(1)
    assert not (written / "art" / "vllm.json").exists()


def test_a_run_without_answers_exports_too(run_of, tmp_path):
    write_exports(tmp_path, run_of([]))
    assert read(tmp_path / "mixed" / "chat" / "vllm.json")["completed"] == 0


def test_summary_names_units_everywhere_and_is_strict_json(run_of, make_text, make_image):
    document = summary_document(run_of([make_text(), make_image()]))
    json.dumps(document, allow_nan=False)
    (phase,) = document["phases"]
    for found in phase["classes"]:
        for metric in [*found["latency"].values(), *found["rates"].values()]:
            assert metric["unit"]
    assert document["schema_version"] == 1
    assert document["definitions"]["ttft_s"]["formula"]
