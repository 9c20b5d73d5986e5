import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu_coserve.sh"


def _run(out: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHON": sys.executable, "OUT": str(out)}
    return subprocess.run(
        [SCRIPT, *flags], env=environment, capture_output=True, text=True, check=False
    )


def _report(out: Path) -> dict:
    [path] = out.glob("gpu_coserve_cpu_tiny_*.json")
    return json.loads(path.read_text())


def test_tiny_on_the_cpu_is_right_and_measured(tmp_path: Path) -> None:
    done = _run(tmp_path, "--device", "cpu", "--tiny", "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    report = _report(tmp_path)
    assert {one["name"] for one in report["checks"]} == {
        "logits",
        "mixed text",
        "mixed images",
        "CPU images",
    }
    assert all(one["is_ok"] for one in report["checks"])
    rows = report["speed"]["rows"]
    assert [(row["num_streams"], row["num_images"]) for row in rows] == [
        (1, 0),
        (8, 0),
        (32, 0),
        (0, 1),
        (0, 4),
        (8, 4),
        (32, 4),
    ]
    for row in rows:
        assert (row["tokens_per_s"] > 0) == (row["num_streams"] > 0)
        assert (row["denoise_steps_per_s"] > 0) == (row["num_images"] > 0)
    [table] = tmp_path.glob("gpu_coserve_cpu_tiny_*.md")
    assert "text + tiny-image" in table.read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_so_and_succeeds(tmp_path: Path) -> None:
    done = _run(tmp_path, "--seconds", "0.2")
    assert done.returncode == 0, done.stderr
    assert "No CUDA GPU here" in done.stderr
    assert _report(tmp_path)["environment"]["device"] == "cpu"
