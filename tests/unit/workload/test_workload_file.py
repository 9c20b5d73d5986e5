"""The TOML format: what is read, what is refused, and that the JSON Schema says the same."""

import copy
from pathlib import Path

import jsonschema
import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.lengths import Empirical, Fixed, LogNormal, Uniform
from loadsheet.workload.rhythm import Bursts, Week
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.trace import Replay
from loadsheet.workload.traffic import StandaloneSLO
from loadsheet.workload.workload import RunPlan
from loadsheet.workload.workload_file import (
    load_workload,
    parse_workload,
    read_workload,
    workload_schema,
)

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "workloads").glob("*.toml"))

TEXT = {"name": "chat", "kind": "text", "arrivals": {"process": "poisson", "rate_rps": 2}}
IMAGE = {"name": "art", "kind": "image", "arrivals": {"process": "closed"}}


def document(text=None, image=None, **top):
    return {"traffic": [TEXT | (text or {}), IMAGE | (image or {})], **top}


def parsed(**more):
    return parse_workload(document(**more)).traffic


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_read(path):
    assert read_workload(path).traffic


def test_the_shipped_workload_is_found_by_name_unless_a_file_has_that_name(tmp_path, monkeypatch):
    assert [traffic.name for traffic in load_workload("quick").traffic] == ["chat", "emoji"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick").write_text(
        '[[traffic]]\nname = "mine"\nkind = "text"\narrivals = { process = "closed" }\n'
    )
    assert load_workload("quick").traffic[0].name == "mine"
    with pytest.raises(ConfigError, match="cannot read workload slow"):
        load_workload("slow")


def test_defaults():
    chat, art = parsed()
    assert chat.prompt_tokens == Fixed(value=128)
    assert chat.slo == TextSLO()
    assert chat.ignore_eos
    assert art.slo == StandaloneSLO(factor=3.0)
    assert art.guidance_scale is None


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ({"process": "poisson", "rate_rps": 3}, OpenLoop(rate_rps=3.0, cv=1.0)),
        ({"process": "gamma", "rate_rps": 3, "cv": 2}, OpenLoop(rate_rps=3.0, cv=2.0)),
        ({"process": "constant", "rate_rps": 3}, OpenLoop(rate_rps=3.0, cv=0.0)),
        (
            {"process": "closed", "concurrency": 4, "think_s": 0.5},
            ClosedLoop(concurrency=4, think_s=0.5),
        ),
    ],
)
def test_arrivals(arrivals, expected):
    assert parsed(text={"arrivals": arrivals})[0].arrivals == expected


def test_a_shipped_trace_can_be_replayed():
    arrivals = {"process": "trace", "trace": "preset:azure-llm-2023-conv", "time_scale": 0.5}
    (replay, _) = (traffic.arrivals for traffic in parsed(text={"arrivals": arrivals}))
    assert isinstance(replay, Replay)
    assert len(replay.rows) == 400
    assert replay.time_scale == 0.5


def test_trace_paths_are_relative_to_the_workload(tmp_path):
    (tmp_path / "my.jsonl").write_text(
        '{"kind":"text","arrival_s":0,"prompt_tokens":1,"output_tokens":1}\n'
    )
    (tmp_path / "w.toml").write_text(
        '[[traffic]]\nname="a"\nkind="text"\narrivals={process="trace",trace="my.jsonl"}\n'
    )
    assert len(read_workload(tmp_path / "w.toml").traffic[0].arrivals.rows) == 1


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (7, Fixed(value=7)),
        ({"distribution": "uniform", "min": 1, "max": 9}, Uniform(min=1, max=9)),
        (
            {"distribution": "lognormal", "mean": 50, "cv": 0.5, "max": 99},
            LogNormal(mean=50.0, cv=0.5, min=1, max=99),
        ),
        (
            {"distribution": "empirical", "values": [1, 5], "weights": [1, 2]},
            Empirical(values=(1, 5), weights=(1.0, 2.0)),
        ),
    ],
)
def test_lengths(length, expected):
    assert parsed(text={"prompt_tokens": length})[0].prompt_tokens == expected


def test_objectives():
    chat, art = parsed(
        text={"slo": "mlperf:llama3.1-8b"}, image={"slo": {"deadline_s": 5, "percentile": 0.9}}
    )
    assert chat.slo == TextSLO(ttft_s=2.0, tpot_s=0.1, percentile=0.99)
    assert art.slo == ImageSLO(deadline_s=5.0, percentile=0.9)
    assert parsed(image={"slo": "standalone:2.5"})[1].slo == StandaloneSLO(factor=2.5)


BAD = {
    "unknown key": (document(sede=1), "sede is not a setting; did you mean seed"),
    "unknown nested key": (
        document(text={"arrivals": {"process": "poisson", "rate": 2}}),
        r"traffic\[0\].arrivals.rate is not a setting; did you mean rate_rps",
    ),
    "image key in text": (document(text={"width": 5}), "width is not a setting"),
    "no name": ({"traffic": [{"kind": "text", "arrivals": {"process": "closed"}}]}, "name is miss"),
    "no arrivals": ({"traffic": [{"name": "a", "kind": "text"}]}, "arrivals is missing"),
    "no traffic": ({}, "traffic is None; give one or more tables"),
    "kind": (document(text={"kind": "video"}), "kind is 'video'; give 'text' or 'image'"),
    "process": (document(text={"arrivals": {"process": "fast"}}), "process is 'fast'"),
    "rate": (document(text={"arrivals": {"process": "poisson"}}), "rate_rps is 0"),
    "text for a number": (document(run={"duration_s": "long"}), "duration_s is 'long'"),
    "bool for a number": (document(run={"duration_s": True}), "duration_s is True"),
    "fraction for a count": (document(image={"width": 1.5}), "width is 1.5; give a whole"),
    "flag": (document(text={"ignore_eos": 1}), "ignore_eos is 1; give true or false"),
    "distribution": (
        document(text={"prompt_tokens": {"distribution": "normal"}}),
        "distribution is 'normal'",
    ),
    "values": (
        document(text={"prompt_tokens": {"distribution": "empirical", "values": ["a"]}}),
        "give a list of numbers",
    ),
    "objective": (document(text={"slo": 5}), "slo is 5; give a table"),
    "no factor": (document(image={"slo": "standalone:x"}), "standalone:3"),
    "rows of traffic": ({"traffic": [5]}, "give one or more tables"),
    "text for a name": (document(name=5), "name is 5; give a text"),
    "negative guidance": (document(image={"guidance_scale": "high"}), "guidance_scale is 'high'"),
    "factor": (document(image={"slo": "standalone:0"}), "standalone:3"),
    "image preset for text": (document(text={"slo": "mlperf:sdxl"}), "a preset for text"),
    "text preset for image": (document(image={"slo": "human:reading"}), "a preset for images"),
    "trace format": (
        document(text={"arrivals": {"process": "trace", "trace": "x", "format": "csv"}}),
        "format is 'csv'",
    ),
    "version": (document(schema_version=2), "this program reads 1"),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD)
def test_mistakes_are_named(bad, message):
    with pytest.raises(ConfigError, match=message):
        parse_workload(copy.deepcopy(bad))


BEYOND_A_SCHEMA = {"image preset for text", "text preset for image", "factor", "no factor"}


@pytest.mark.parametrize("name", sorted(BAD.keys() - BEYOND_A_SCHEMA))
def test_the_schema_refuses_the_same_mistakes(name):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(BAD[name][0], workload_schema())


def test_the_schema_accepts_what_the_parser_accepts():
    whole = document(
        schema_version=1,
        name="whole",
        seed=3,
        run={"warmup_s": 1, "duration_s": 2.5, "measure_alone": True, "standalone_requests": 2},
        text={"output_tokens": {"distribution": "uniform", "min": 1, "max": 2}, "model": "m"},
        image={"num_steps": 4, "guidance_scale": 2, "partial_images": 1, "num_images": 2},
    )
    parse_workload(copy.deepcopy(whole))
    jsonschema.validate(whole, workload_schema())


def test_the_defaults_of_the_schema_are_those_of_the_code():
    definitions = workload_schema()["$defs"]
    for owner, default in (
        (definitions["run"], RunPlan()),
        (definitions["text"]["properties"]["slo"]["oneOf"][1], TextSLO()),
        (definitions["image"]["properties"]["slo"]["oneOf"][1], ImageSLO()),
    ):
        for name, entry in owner["properties"].items():
            if "default" in entry:
                assert entry["default"] == getattr(default, name), name


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read workload"):
        read_workload(tmp_path / "no.toml")
    (tmp_path / "bad.toml").write_text("[[")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_workload(tmp_path / "bad.toml")


def with_rhythm(**rhythm):
    arrivals = {"process": "gamma", "rate_rps": 2, "cv": 2, "rhythm": rhythm}
    made = document(text={"arrivals": arrivals})
    jsonschema.validate(made, workload_schema())
    return parse_workload(made).traffic[0].arrivals.rhythm


def test_rhythms_are_read():
    assert with_rhythm(kind="on-off", on_s=5, off_s=20, shared="sale") == Bursts(
        factors=(1, 0), dwell_s=(5, 20), shared="sale"
    )
    assert with_rhythm(kind="bursts", factors=[1, 4, 0.5], dwell_s=[60, 10, 30]) == Bursts(
        factors=(1, 4, 0.5), dwell_s=(60, 10, 30)
    )
    assert with_rhythm(kind="week", start_hour=33, swing=0.2) == Week(start_hour=33, swing=0.2)


@pytest.mark.parametrize(
    ("rhythm", "message"),
    [
        ({"kind": "weak"}, "'on-off', 'bursts' or 'week'"),
        ({"kind": "on-off", "on_s": 5, "of_s": 20}, "of_s is not a setting; did you mean off_s"),
        ({"kind": "bursts", "factors": [1, 2], "dwell_s": [3]}, "2 factors and 1 dwell_s"),
        ({"kind": "week", "hours": [1, 2]}, "give 24"),
    ],
)
def test_wrong_rhythms_are_named(rhythm, message):
    arrivals = {"process": "poisson", "rate_rps": 2, "rhythm": rhythm}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document(text={"arrivals": arrivals}), workload_schema())
    with pytest.raises(ConfigError, match=message):
        parsed(text={"arrivals": arrivals})
