"""Records and a finished run made by hand, without a server."""

import pytest

from loadsheet.bench.load import Window
from loadsheet.bench.overhead import Overhead
from loadsheet.bench.promise import Promise
from loadsheet.bench.prompts import TokenLine
from loadsheet.bench.record import Outcome, Reply, RequestRecord
from loadsheet.bench.run import RunResult
from loadsheet.bench.summarize import Facts, PlayedPhase, summarize
from loadsheet.bench.target import Target
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import ImageTraffic, TextTraffic
from loadsheet.workload.workload import Workload

MS = 1_000_000
CHAT = TextTraffic(
    name="chat", arrivals=OpenLoop(rate_rps=2.0), slo=TextSLO(ttft_s=2.0, tpot_s=0.2)
)
ART = ImageTraffic(name="art", arrivals=ClosedLoop(), slo=ImageSLO(deadline_s=2.0))
QUIET = Overhead(
    cpu_share=0.1, loop_delay_p50_s=0.0001, loop_delay_p99_s=0.001, send_delay_p99_s=0.0
)


def text_record(index=0, *, due_ms=0, wait_ms=0, gaps_ms=(100, 10, 10), phase="mixed", **reply):
    """`gaps_ms`: from the send to the first token, then between tokens."""
    stamps, at_ns = [], (due_ms + wait_ms) * MS
    for gap_ms in gaps_ms:
        at_ns += gap_ms * MS
        stamps.append(at_ns)
    fields = {"outcome": Outcome.OK, "prompt_tokens": 20, "output_tokens": len(gaps_ms)}
    return RequestRecord(
        phase=phase,
        traffic="chat",
        index=index,
        shape=TextShape(prompt_tokens=20, output_tokens=3),
        due_ns=due_ms * MS,
        sent_ns=(due_ms + wait_ms) * MS,
        ended_ns=at_ns + MS,
        reply=Reply(chunk_ns=tuple(stamps), **fields | reply),
    )


def image_record(index=0, *, due_ms=0, took_ms=1000, phase="mixed", **reply):
    return RequestRecord(
        phase=phase,
        traffic="art",
        index=index,
        shape=ImageShape(width=100, height=100, num_steps=20),
        due_ns=due_ms * MS,
        sent_ns=due_ms * MS,
        ended_ns=(due_ms + took_ms) * MS,
        reply=Reply(**{"outcome": Outcome.OK, "num_images": 1, "image_bytes": 6} | reply),
    )


def make_run(records, *, window_ms=(0, 10_000), traffic=(CHAT, ART), name="mixed") -> RunResult:
    phase = PlayedPhase(
        name=name,
        window=Window(start_ns=window_ms[0] * MS, end_ns=window_ms[1] * MS),
        traffic=traffic,
        records=tuple(records),
        overhead=QUIET,
    )
    facts = Facts(
        promises={item.name: Promise(slo=item.slo, origin="workload") for item in traffic},
        models={item.name: f"{item.name}-model" for item in traffic},
    )
    return RunResult(
        workload=Workload(name="<by hand>", traffic=traffic),
        target=Target(text_url="http://t", image_url="http://i"),
        token_line=TokenLine(),
        facts=facts,
        phases=(phase,),
        summary=summarize([phase], facts, seed=0),
        environment={"started_at": "2026-01-02T03:04:05+00:00", "cpu": "by hand"},
        server={"http://t": "1.0"},
        epoch_unix_ns=1_700_000_000_000_000_000,
        is_interrupted=False,
    )


@pytest.fixture
def make_text():
    return text_record


@pytest.fixture
def make_image():
    return image_record


@pytest.fixture
def run_of():
    return make_run
