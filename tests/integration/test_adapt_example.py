"""`examples/scenario-2-adapt/run.sh --quick`: both adaptations and their comparison, for real."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadsheet.track import read_runs

EXAMPLE = Path(__file__).parents[2] / "examples/scenario-2-adapt"

pytestmark = pytest.mark.real_weights


def run(out: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [EXAMPLE / "run.sh", "--quick", out],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_quick_form_adapts_both_and_compares(tmp_path):
    out = run(tmp_path / "adapt")
    runs = read_runs(tmp_path / "adapt/runs")
    assert [one.status for one in runs] == ["finished"] * 7
    assert {one.summary["method"] for one in runs if one.command == "adapt text"} == {
        "tfidf",
        "probe",
        "lora",
        "full",
    }
    assert {one.summary["method"] for one in runs if one.command == "adapt image"} == {
        "lora-r4-attention",
        "full",
    }
    full = next(one for one in runs if one.name == "pictures-full")
    assert full.number("held_out_loss_after") < 0.8 * full.number("held_out_loss_before")
    page = (tmp_path / "adapt/comparison.md").read_text()
    assert "](comparison.svg)" in page
    assert "## What these runs do not show" in page
    assert "7 runs in" in out
    again = run(tmp_path / "adapt")
    assert "7 runs in" in again
    assert (tmp_path / "adapt/comparison.md").read_text() == page
