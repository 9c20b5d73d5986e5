"""Each example runs as its folder says, against a real server."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.real_weights


def test_chat_and_draw(flight, tmp_path):
    script = EXAMPLES / "01-chat-and-draw" / "run.py"
    done = subprocess.run(
        [sys.executable, script, flight.url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "lighthouse" in done.stdout.lower()
    with Image.open(tmp_path / "lighthouse.png") as picture:
        assert picture.size == (128, 128)
    for output in (done.stdout, (script.parent / "output.txt").read_text()):
        assert {"text", "image"} <= {line.split(" ")[0] for line in output.splitlines() if line}
