import json

import pytest

from loadsheet.errors import AssetError, ConfigError
from loadsheet.runtime.event_codec import Drained
from loadsheet.runtime.event_log import EventLogReader, EventLogWriter
from loadsheet.sched.event import Arrived, Cancelled, StepFinished
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import (
    BlockGrant,
    ImageBatch,
    ImageItem,
    ImageShape,
    PrefillChunk,
    StepKind,
    StepPlan,
    TextBatch,
    TextShape,
)
from loadsheet.workload.request import ImageRequest, TextRequest
from loadsheet.workload.slo import ImageSLO, TextSLO

LIMITS = DeviceLimits(
    text=(TextLimits(model="llm", num_blocks=9),),
    images=(
        ImageLimits(
            model="painter",
            sizes=(ImageSize(width=64, height=32, state_bytes=7),),
            budget_bytes=70,
        ),
    ),
    num_lanes=2,
)
TEXT = TextRequest(
    request_id="t",
    model="llm",
    arrival_s=0.1,
    prompt_tokens=3,
    max_output_tokens=2,
    slo=TextSLO(ttft_s=1.5, tpot_s=0.1, percentile=0.9),
)
IMAGE = ImageRequest(
    request_id="i",
    model="painter",
    arrival_s=0.2,
    width=64,
    height=32,
    num_steps=4,
    is_guided=True,
    slo=ImageSLO(deadline_s=9.0),
)
EVENTS = [
    Arrived(request=TEXT),
    Arrived(request=IMAGE),
    Cancelled(request_id="t"),
    StepFinished(step_id=1, duration_s=0.1 + 0.2, ended=("t", "i")),
]


def text_plan(decodes):
    return StepPlan(
        step_id=1,
        kind=StepKind.TEXT,
        model="llm",
        lane=1,
        batch=TextBatch(
            decodes=decodes,
            chunks=(PrefillChunk(request_id="t", num_tokens=3, past_tokens=0, is_last=True),),
            grants=(BlockGrant(request_id="t", block_ids=(4, 2)),),
        ),
        shape=TextShape(
            num_decodes=len(decodes),
            decode_context_tokens=5,
            prefill_tokens=3,
            prefill_context_tokens=0,
        ),
        predicted_s=1 / 3,
    )


IMAGE_PLAN = StepPlan(
    step_id=2,
    kind=StepKind.DENOISE,
    model="painter",
    lane=0,
    batch=ImageBatch(items=(ImageItem(request_id="i", step_idx=3),)),
    shape=ImageShape(batch=1, width=64, height=32, is_guided=True),
    predicted_s=0.25,
)


def test_what_was_written_is_read_back_equal(tmp_path):
    path = tmp_path / "run.jsonl"
    with EventLogWriter(path, LIMITS, "slack") as log:
        for place, event in enumerate(EVENTS):
            log.record_event(event, place / 7)
        log.record_plan(text_plan(("a", "b")), 0.7)
        log.record_plan(IMAGE_PLAN, 0.8)
        log.record_drain(0.9)
    reader = EventLogReader(path)
    entries = list(reader)
    assert reader.header.policy == "slack"
    assert reader.header.limits == LIMITS
    assert [entry.what for entry in entries[:4]] == EVENTS
    assert [entry.at_s for entry in entries[:4]] == [place / 7 for place in range(4)]
    assert [entry.what for entry in entries[4:]] == [text_plan(("a", "b")), IMAGE_PLAN, Drained()]


def test_decodes_are_written_once_while_they_stay_the_same_object(tmp_path):
    path = tmp_path / "run.jsonl"
    decodes, other = ("a", "b"), ("a",)
    with EventLogWriter(path, LIMITS, "slack") as log:
        for ids in (decodes, decodes, other):
            log.record_plan(text_plan(ids), 0.0)
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert ["decodes" in line for line in lines] == [True, False, True]
    plans = [entry.what.batch.decodes for entry in EventLogReader(path)]
    assert plans == [decodes, decodes, other]


def test_lines_reach_the_file_when_flushed(tmp_path):
    path = tmp_path / "run.jsonl"
    log = EventLogWriter(path, LIMITS, "slack")
    log.record_drain(1.0)
    log.flush()
    assert [entry.what for entry in EventLogReader(path)] == [Drained()]
    log.close()


def test_a_last_line_cut_off_by_a_crash_is_left_out(tmp_path):
    path = tmp_path / "run.jsonl"
    with EventLogWriter(path, LIMITS, "slack") as log:
        log.record_drain(1.0)
        log.record_drain(2.0)
    path.write_text(path.read_text()[:-5])
    assert [entry.at_s for entry in EventLogReader(path)] == [1.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "does not start with the header"),
        ('{"type":"plan"}\n', "does not start with the header"),
        ("{\n", "line 1 is no JSON"),
        ("[]\n", "line 1 is no JSON object"),
        ('{"type":"header","schema_version":99}\n', "schema version 99"),
        ('{"type":"header","schema_version":1,"limits":{}}\n', "line 1 is no header"),
    ],
)
def test_a_file_that_is_no_log_is_refused(tmp_path, content, message):
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    with pytest.raises(AssetError, match=message):
        EventLogReader(path)


@pytest.mark.parametrize(
    "line",
    ['{"type":"dance","at_s":1}', '{"type":"cancelled","at_s":1}', '{"type":"drained"}'],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "run.jsonl"
    EventLogWriter(path, LIMITS, "slack").close()
    with path.open("a") as log:
        log.write(line + "\n")
    with pytest.raises(AssetError, match="line 2 is no log entry"):
        list(EventLogReader(path))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(AssetError, match="cannot read the event log"):
        EventLogReader(tmp_path / "absent.jsonl")
    with pytest.raises(ConfigError, match="cannot write the event log"):
        EventLogWriter(tmp_path / "absent" / "run.jsonl", LIMITS, "slack")
