"""The example of the decoder runs as its folder says, and what it stores can be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadsheet.track import read_runs

EXAMPLE = Path(__file__).parents[2] / "examples" / "scenario-1-decoder"


def test_the_quick_path_runs(tmp_path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", EXAMPLE / "run.sh", "quick"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = {run.name: run for run in read_runs(tmp_path / "runs")}
    assert list(runs) == ["quick", "kv-cache", "attention", "mixers", "jax"]
    assert all(run.status == "finished" for run in runs.values())
    assert runs["quick"].number("bits_per_byte") < 4.5
    agreement = runs["jax"].summary["agreement"]
    assert agreement["num_equal"] == agreement["num_tokens"] == 64


def test_stored_runs_hold_what_fits_and_reports_read():
    runs = read_runs(EXAMPLE / "runs")
    assert {"kv-cache", "attention", "mixers", "jax"} <= {run.name for run in runs}
    assert any(run.command == "train text" for run in runs)
    for run in runs:
        assert run.status == "finished"
        stored = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
        assert stored < 300_000
        if run.command == "train text":
            for key in ("parameters", "tokens", "loss_nats_per_token", "bits_per_byte"):
                assert run.number(key) is not None


@pytest.mark.parametrize("name", ["kv-cache", "attention", "mixers"])
def test_stored_figures_are_those_of_the_guide(name):
    [run] = [run for run in read_runs(EXAMPLE / "runs") if run.name == name]
    shown = EXAMPLE.parents[1] / "docs" / "guide" / "img" / f"decoder-{name}.svg"
    assert run.artifacts[0].read_bytes() == shown.read_bytes()
