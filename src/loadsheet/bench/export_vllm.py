"""A text class in the shape of `vllm bench serve --save-result --save-detailed`.

Their names with their definitions: latencies from the actual send, e2e to the last token chunk,
throughput over the window. Anything that reads vLLM's result files reads these.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from loadsheet.bench.record import RequestRecord
from loadsheet.bench.run import RunResult
from loadsheet.bench.summarize import PlayedPhase
from loadsheet.metrics import goodput_rps
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.traffic import TextTraffic

Json = dict[str, object]


def vllm_document(result: RunResult, phase: PlayedPhase, traffic: TextTraffic) -> Json:
    due = phase.due(traffic.name)
    ok = [record for record in due if record.is_ok]
    window_s = phase.window.length_s
    prompt_tokens = [record.reply.prompt_tokens or 0 for record in due]
    output_tokens = [record.num_tokens if record.is_ok else 0 for record in due]
    num_in, num_out = sum(prompt_tokens), sum(output_tokens)
    promise = result.facts.promises[traffic.name]
    num_good = sum(promise.is_kept(record) for record in ok)
    return {
        **_setup(result, traffic, len(due)),
        "duration": window_s,
        "completed": len(ok),
        "failed": len(due) - len(ok),
        "total_input_tokens": num_in,
        "total_output_tokens": num_out,
        "request_throughput": len(ok) / window_s,
        "request_goodput": goodput_rps(num_good, window_s),
        "output_throughput": num_out / window_s,
        "total_token_throughput": (num_in + num_out) / window_s,
        "max_output_tokens_per_s": _busiest_second(ok),
        "max_concurrent_requests": _most_at_once(due),
        **_latencies(ok),
        "input_lens": prompt_tokens,
        "output_lens": output_tokens,
        "ttfts": [_ttft_s(record) if record.is_ok else 0.0 for record in due],
        "itls": [list(record.text_timing().itl_s) if record.is_ok else [] for record in due],
        "start_times": [record.sent_ns / 1e9 for record in due],
        "errors": [record.reply.error for record in due],
    }


def _setup(result: RunResult, traffic: TextTraffic, num_due: int) -> Json:
    arrivals = traffic.arrivals
    started = datetime.fromisoformat(str(result.environment["started_at"]))
    rate, burstiness = _process(traffic)
    return {
        "date": started.strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": "openai-chat",
        "backend": "openai-chat",
        "label": result.workload.name,
        "model_id": result.facts.models[traffic.name],
        "tokenizer_id": None,
        "num_prompts": num_due,
        "request_rate": rate,
        "burstiness": burstiness,
        "max_concurrency": arrivals.concurrency if isinstance(arrivals, ClosedLoop) else None,
    }


def _process(traffic: TextTraffic) -> tuple[float | str, float]:
    """vLLM's burstiness is the shape of the gamma distribution, 1/cv²."""
    match traffic.arrivals:
        case OpenLoop(rate_rps=rate_rps, cv=cv) if cv > 0:
            return rate_rps, 1 / cv**2
        case OpenLoop(rate_rps=rate_rps):
            return rate_rps, 1e9  # a metronome; infinity is no JSON
        case _:
            return "inf", 1.0


def _latencies(ok: Sequence[RequestRecord]) -> Json:
    timings = [record.text_timing() for record in ok]
    samples = {
        "ttft": [_ttft_s(record) for record in ok],
        "tpot": [timing.tpot_s for timing in timings if timing.tpot_s is not None],
        "itl": [gap_s for timing in timings for gap_s in timing.itl_s],
        "e2el": [
            timing.e2e_s - record.client_wait_s for timing, record in zip(timings, ok, strict=True)
        ],
    }
    document: Json = {}
    for name, values_s in samples.items():
        values_ms = np.asarray(values_s or [0.0]) * 1e3
        document[f"mean_{name}_ms"] = float(values_ms.mean())
        document[f"median_{name}_ms"] = float(np.median(values_ms))
        document[f"std_{name}_ms"] = float(values_ms.std())
        for percent in (90, 95, 99):
            document[f"p{percent}_{name}_ms"] = float(np.percentile(values_ms, percent))
    return document


def _ttft_s(record: RequestRecord) -> float:
    return record.text_timing().ttft_s - record.client_wait_s


def _busiest_second(ok: Sequence[RequestRecord]) -> float:
    seconds = [stamp // 1_000_000_000 for record in ok for stamp in record.reply.chunk_ns]
    return float(np.bincount(np.asarray(seconds) - min(seconds)).max()) if seconds else 0.0


def _most_at_once(due: Sequence[RequestRecord]) -> int:
    """Ends before starts at the same nanosecond."""
    changes = sorted(
        [(record.sent_ns, 1) for record in due] + [(record.ended_ns, -1) for record in due]
    )
    return int(np.cumsum([change for _, change in changes]).max()) if changes else 0
