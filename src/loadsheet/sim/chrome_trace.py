"""Steps as a trace for chrome://tracing and ui.perfetto.dev (Trace Event Format, JSON).

A replica is a process, a lane of it a thread; memory in use is a counter beside them.
"""

from collections.abc import Iterator

from loadsheet.sched.plan import StepKind
from loadsheet.sim.result import ReplicaResult, SimResult
from loadsheet.sim.span import Span

Json = dict[str, object]


def chrome_trace(result: SimResult) -> Json:
    """Of the spans that were recorded; times in microseconds, as the format has it."""
    events = [
        event
        for pid, replica in enumerate(result.replicas, start=1)
        for event in _replica(pid, replica)
    ]
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _replica(pid: int, replica: ReplicaResult) -> Iterator[Json]:
    yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": replica.name}}
    for lane in sorted({span.lane for span in replica.spans}):
        name = {"name": f"lane {lane}"}
        yield {"ph": "M", "pid": pid, "tid": lane, "name": "thread_name", "args": name}
    for span in replica.spans:
        yield _span(pid, span)
    for sample in replica.memory:
        used = {
            **_prefixed("blocks ", sample.used_blocks),
            **_prefixed("bytes ", sample.used_bytes),
        }
        at_us = sample.at_s * 1e6
        yield {"ph": "C", "pid": pid, "ts": at_us, "name": "memory in use", "args": used}


def _span(pid: int, span: Span) -> Json:
    what = "tokens" if span.kind is StepKind.TEXT else "batch"
    times = f" x {span.num_steps}" if span.num_steps > 1 else ""
    args: Json = {"steps": span.num_steps, what: span.batch}
    if span.prefill_tokens:
        args["prefill_tokens"] = span.prefill_tokens
    if span.images:
        args["requests"] = list(span.images)
    return {
        "ph": "X",
        "pid": pid,
        "tid": span.lane,
        "ts": span.start_s * 1e6,
        "dur": (span.end_s - span.start_s) * 1e6,
        "name": f"{span.model} {span.kind}{times}",
        "cat": str(span.kind),
        "args": args,
    }


def _prefixed(prefix: str, values: dict[str, int]) -> dict[str, int]:
    return {prefix + name: value for name, value in values.items()}
