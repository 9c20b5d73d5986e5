import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "text_decode.py"
FLAGS = "--rounds 2 --new-tokens 5 --prompt-tokens 7 --batch 1 3 --dtype fp32 --threads 1"


def test_it_measures_all_sides_of_a_tiny_model(tiny_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--model", tiny_folder, "--out", tmp_path / "out"]
    done = subprocess.run([*command, *FLAGS.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [written] = (tmp_path / "out").glob("*.json")
    report = json.loads(written.read_text())
    assert report["threads"] == 1
    assert report["environment"]["command"].endswith(FLAGS)
    assert [(row["dtype"], row["batch"]) for row in report["rows"]] == [("fp32", 1), ("fp32", 3)]
    for row in report["rows"]:
        assert len(row["rounds"]) == 2
        assert row["same_greedy_tokens"] == 1.0  # fp32: the same text as transformers
        for name, ratio in row["ratios"].items():
            above, below = name.split("/")
            expected = [one[above] / one[below] for one in row["rounds"]]
            assert (ratio["min"], ratio["max"]) == (min(expected), max(expected))
    [table] = (tmp_path / "out").glob("*.md")
    assert table.read_text().count("| fp32 |") == 2
