"""Stored runs replay to the same plans; a changed decision does not go unnoticed."""

import json
from pathlib import Path

import pytest

from loadsheet.runtime.event_codec import Drained
from loadsheet.runtime.event_log import EventLogReader
from loadsheet.runtime.replay import replay
from loadsheet.sched import slack
from loadsheet.sched.event import Arrived, Cancelled
from loadsheet.sched.plan import StepKind, StepPlan
from loadsheet.sched.policies import POLICIES, make_scheduler

FOLDER = Path(__file__).parent
EACH_POLICY = pytest.mark.parametrize("policy", sorted(POLICIES))


@EACH_POLICY
def test_a_stored_run_replays_to_the_same_plans(policy):
    assert replay(FOLDER / f"{policy}.jsonl") == []


@EACH_POLICY
def test_the_stored_run_is_worth_replaying(policy):
    whats = [entry.what for entry in EventLogReader(FOLDER / f"{policy}.jsonl")]
    plans = [what for what in whats if isinstance(what, StepPlan)]
    assert {plan.kind for plan in plans} == set(StepKind)
    assert {type(what) for what in whats} >= {Arrived, Cancelled, Drained}
    assert len(plans) >= 100


def test_another_policy_is_noticed():
    mismatches = replay(
        FOLDER / "slack.jsonl", make=lambda limits, policy: make_scheduler(limits, "round-robin")
    )
    assert mismatches
    assert mismatches[0].logged != mismatches[0].replayed


@pytest.mark.parametrize(
    ("name", "value"), [("RELAXED", 9.0), ("SHORT_PATIENCE", 0), ("MIN_CHUNK_TOKENS", 16)]
)
def test_another_constant_is_noticed(monkeypatch, name, value):
    monkeypatch.setattr(slack, name, value)
    assert replay(FOLDER / "slack.jsonl")


def test_an_edited_plan_is_noticed_and_the_rest_still_compared(tmp_path):
    lines = (FOLDER / "slack.jsonl").read_text().splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if '"type":"plan"' in line]
    record = json.loads(lines[places[5]])
    record["predicted_s"] += 1e-12
    lines[places[5]] = json.dumps(record) + "\n"
    edited = tmp_path / "edited.jsonl"
    edited.write_text("".join(lines))
    (mismatch,) = replay(edited)
    assert mismatch.logged.step_id == mismatch.replayed.step_id == record["step_id"]
    assert mismatch.at_s == record["at_s"]


def test_a_plan_too_many_ends_the_replay(tmp_path):
    lines = (FOLDER / "slack.jsonl").read_text().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if '"type":"plan"' in line)
    doubled = tmp_path / "doubled.jsonl"
    doubled.write_text("".join([*lines[: place + 1], lines[place], *lines[place + 1 :]]))
    (mismatch,) = replay(doubled)
    assert mismatch.replayed is None
