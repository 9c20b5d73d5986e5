"""The planning examples still come out as stored: same devices, same models, same dollars."""

from pathlib import Path

import pytest

from loadsheet.cli.main import main

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = [folder.parent.name for folder in sorted(EXAMPLES.glob("*/plan.md"))]


def decisions(text: str) -> list[str]:
    """Lines that say what to use, what it costs and what runs where; not how long it takes."""
    lines = text.splitlines()
    start = lines.index("## What runs where")
    rows = [
        line.rsplit("|", 4)[0] for line in lines[start + 2 : lines.index("## Memory of one device")]
    ]
    return [line for line in lines if line.startswith(("- **use**", "- **cost**"))] + rows


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_plan_is_made_again(name, tmp_path, capsys):
    folder = EXAMPLES / name
    words = ["--workload", f"{folder / 'workload.toml'}", "--cluster", f"{folder / 'cluster.toml'}"]
    code = main(["plan", *words, "--analytic", "--out", str(tmp_path)])
    assert code == 0, capsys.readouterr().err
    made = (tmp_path / "plan.md").read_text()
    assert decisions(made) == decisions((folder / "plan.md").read_text())
