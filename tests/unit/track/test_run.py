"""A tracked run leaves a folder that reads back, whatever happens to the process."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadsheet.errors import ConfigError
from loadsheet.track import find_run, read_run, read_runs, resume_run, start_run


def start(runs: Path, name: str = "tiny", **config):
    return start_run(runs, command="train text", name=name, config=config)


def test_what_is_written_reads_back(tmp_path):
    sheet = tmp_path / "sheet.txt"
    sheet.write_text("drawn")
    with start(tmp_path / "runs", layers=2, rates=[0.1, 0.2], nested={"a": None}) as run:
        run.log(1, {"loss": 2.5})
        run.log(2, {"loss": 2.25, "lr": 1e-3})
        run.summary({"accuracy": 0.5, "labels": ["a", "b"]})
        run.summary({"accuracy": 0.75})
        assert run.artifact(sheet).read_text() == "drawn"
        run.artifact(sheet, "other.txt")
    stored = read_run(run.folder)
    assert (stored.id, stored.command, stored.name) == (run.id, "train text", "tiny")
    assert stored.status == "finished"
    assert stored.config == {"layers": 2, "rates": [0.1, 0.2], "nested": {"a": None}}
    assert stored.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert stored.environment["packages"]["numpy"]
    assert [point.step for point in stored.metrics] == [1, 2]
    assert [dict(point.values) for point in stored.metrics] == [
        {"loss": 2.5},
        {"loss": 2.25, "lr": 1e-3},
    ]
    assert stored.metrics[0].time_s <= stored.metrics[1].time_s
    assert stored.metric_names() == ("loss", "lr")
    assert [point.step for point in stored.series("lr")] == [2]
    assert stored.summary == {"accuracy": 0.75, "labels": ["a", "b"]}
    assert stored.number("accuracy") == 0.75
    assert stored.number("labels") is None
    assert [path.name for path in stored.artifacts] == ["other.txt", "sheet.txt"]
    assert json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[0])["loss"] == 2.5


def test_ids_sort_by_time_and_never_collide(tmp_path):
    runs = [start(tmp_path) for _ in range(3)]
    for run in runs:
        run.finish()
    ids = [run.id for run in runs]
    assert len(set(ids)) == 3
    assert all(run_id.split("-")[2] == "tiny" for run_id in ids)
    assert [run.id for run in read_runs(tmp_path)] == sorted(ids)


def test_an_exception_marks_the_run_failed(tmp_path):
    with pytest.raises(ZeroDivisionError), start(tmp_path) as run:
        run.log(1, {"loss": 1 / 0})
    assert read_run(run.folder).status == "failed"


def test_a_diverged_loss_is_kept(tmp_path):
    with start(tmp_path) as run:
        run.log(1, {"loss": math.inf, "other": math.nan})
        run.summary({"worst": -math.inf})
    json.loads((run.folder / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    values = read_run(run.folder).metrics[0].values
    assert values["loss"] == math.inf
    assert math.isnan(values["other"])


def test_a_killed_process_leaves_a_readable_run(tmp_path):
    program = (
        "import sys, os, time; from pathlib import Path; from loadsheet.track import start_run\n"
        "run = start_run(Path(sys.argv[1]), command='train text', name='k', config={})\n"
        "run.summary({'seen': 1})\n"
        "for step in range(50): run.log(step, {'loss': 1.0 / (step + 1)})\n"
        "os.write(1, b'x'); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.read(1) == b"x"
        os.kill(process.pid, signal.SIGKILL)
    (stored,) = read_runs(tmp_path)
    assert stored.status == "running"
    assert len(stored.metrics) == 50
    assert stored.summary == {"seen": 1}


def test_a_torn_line_is_left_out_and_a_resumed_run_goes_on(tmp_path):
    first = start(tmp_path)
    for step in (1, 2, 3):
        first.log(step, {"loss": float(step)})
    first.summary({"a": 1})
    first.finish("failed")
    with (first.folder / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 4, "time_s": 9.0, "lo')
    assert [point.step for point in read_run(first.folder).metrics] == [1, 2, 3]
    with resume_run(first.folder) as again:
        again.log(3, {"loss": 30.0})
        again.log(4, {"loss": 40.0})
        again.summary({"b": 2})
    stored = read_run(first.folder)
    assert [point.values["loss"] for point in stored.metrics] == [1.0, 2.0, 30.0, 40.0]
    assert stored.summary == {"a": 1, "b": 2}
    assert stored.status == "finished"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "-x"])
def test_names_stay_names_of_folders(tmp_path, name):
    with pytest.raises(ConfigError, match="letters, digits"):
        start(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_bad_values_are_refused_with_their_place(tmp_path):
    with start(tmp_path) as run:
        with pytest.raises(ConfigError, match=r"a\.b\[1\] is a Path|a\.b\[1\] is a PosixPath"):
            run.summary({"a": {"b": [1, tmp_path]}})
        with pytest.raises(ConfigError, match="'step' is taken"):
            run.log(1, {"step": 2.0})
        with pytest.raises(ConfigError, match="step -1"):
            run.log(-1, {"loss": 2.0})
        with pytest.raises(ConfigError, match="no artifact"):
            run.artifact(tmp_path / "absent")
        with pytest.raises(ConfigError, match="must not contain folders"):
            run.artifact(run.folder / "run.json", "../run.json")


def test_runs_are_found_by_id_part_path_and_latest(tmp_path):
    runs = [start(tmp_path, name) for name in ("probe-0", "lora-0", "lora-1")]
    for run in runs:
        run.finish()
    assert find_run(tmp_path, runs[0].id) == runs[0].folder
    assert find_run(tmp_path, "probe") == runs[0].folder
    assert find_run(tmp_path, str(runs[1].folder)) == runs[1].folder
    assert find_run(tmp_path, "latest").name == sorted(run.id for run in runs)[-1]
    with pytest.raises(ConfigError, match=r"2 runs match 'lora'.*lora-0, .*lora-1"):
        find_run(tmp_path, "lora")
    with pytest.raises(ConfigError, match=r"no run 'prode-0'.*nearest: .*probe-0"):
        find_run(tmp_path, "prode-0")


def test_what_is_no_run_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        read_runs(tmp_path / "absent")
    with pytest.raises(ConfigError, match="holds no run yet"):
        find_run(tmp_path, "x")
    (tmp_path / "r").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        read_run(tmp_path / "r")
    (tmp_path / "r" / "run.json").write_text("[1")
    with pytest.raises(ConfigError, match="is damaged"):
        read_run(tmp_path / "r")
    (tmp_path / "r" / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="lacks 'command'"):
        read_run(tmp_path / "r")


def test_an_unknown_sink_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="nearest is 'wandb'"):
        start_run(tmp_path, command="c", name="n", config={}, sinks=["wanda"])
    assert list(tmp_path.iterdir()) == []
