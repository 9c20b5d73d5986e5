"""What the guide shows is what the program does."""

import re
import tomllib
from pathlib import Path

from loadsheet.bench.markdown import markdown_table
from loadsheet.bench.tables import definition_table
from loadsheet.workload.workload_file import parse_workload

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "benchmarking.md"


def test_the_table_of_metrics_is_the_programs():
    assert markdown_table(definition_table()) in GUIDE.read_text(encoding="utf-8")


def test_the_workload_in_the_guide_is_read():
    (example,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.S)
    assert [traffic.name for traffic in parse_workload(tomllib.loads(example)).traffic] == [
        "chat",
        "picture",
    ]
