"""What number formats cost in perplexity, on the fixed text with the real weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.real_weights


def test_formats_stay_within_their_bounds(tmp_path: Path) -> None:
    result = tmp_path / "perplexity.json"
    subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "text_perplexity.py", "--json", result],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = json.loads(result.read_text())
    assert found["num_tokens"] > 2000
    exact = found["perplexity"].pop("torch fp32")
    over = {name: value / exact - 1 for name, value in found["perplexity"].items()}
    assert abs(over["openvino fp32"]) < 1e-4
    assert over["openvino bf16"] <= 0.005
    assert over["openvino int8"] <= 0.015
