"""What the W&B sink writes offline, read back with wandb's own reader of its run files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadsheet.track import read_run, start_run
from loadsheet.track.wandb_sink import WandbSink

STEPS = {1: 2.5, 2: 1.25, 5: 0.625}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    """As on a machine that never saw W&B."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def records(path: Path, kind: str) -> list:
    """As wandb itself reads them."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [record for record in found if record["type"] == kind]


def test_metrics_config_and_summary_are_in_the_run_file(no_key, tmp_path):
    with start_run(
        tmp_path, command="train text", name="tiny", config={"layers": 2}, sinks=["wandb"]
    ) as run:
        for step, loss in STEPS.items():
            run.log(step, {"loss": loss})
        run.summary({"accuracy": 0.75})
    (path,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
    history = [record["history"]["item"] for record in records(path, "history")]
    theirs = {item["_step"]: item["loss"] for item in history}
    ours = {point.step: point.values["loss"] for point in read_run(run.folder).metrics}
    assert theirs == ours == STEPS
    (started,) = [record["run"] for record in records(path, "run")]
    assert (started["display_name"], started["project"]) == (run.id, "loadsheet")
    config = started["config"]["update"]
    assert config["layers"] == 2
    assert config["environment"]["python"]
    summaries = [record["summary"]["update"] for record in records(path, "summary")]
    assert {"accuracy": 0.75} in summaries
    (end,) = records(path, "exit")
    assert end["exit"]["exit_code"] == 0


def test_a_key_or_a_mode_lets_wandb_choose(no_key, monkeypatch, tmp_path):
    from loadsheet.track import wandb_sink

    asked = []

    class Started(Exception):
        pass

    def init(**settings):
        asked.append(settings["mode"])
        raise Started

    monkeypatch.setattr(wandb_sink.wandb, "init", init)
    facts = {"id": "i", "command": "c", "config": {}, "environment": {}, "commit": None}
    for name, value in ((None, ""), ("WANDB_API_KEY", "x" * 40), ("WANDB_MODE", "disabled")):
        with monkeypatch.context() as patch:
            if name:
                patch.setenv(name, value)
            with pytest.raises(Started):
                WandbSink(tmp_path, facts)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_text("machine api.wandb.ai login user password k\n")
    (tmp_path / "home" / ".netrc").chmod(0o600)
    with pytest.raises(Started):
        WandbSink(tmp_path, facts)
    assert asked == ["offline", None, None, None]
