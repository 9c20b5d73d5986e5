"""Every command that a document shows works, against a real server with the default models.

```sh       each line runs; `make` targets, servers and trainings are checked, not started
```python   the block runs as a program
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from loadsheet.cli.main import parse

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/guide/*.md"))]
ADDRESS = "http://127.0.0.1:8000"
SERVERS = {"up", "serve"}
TRAININGS = (["loadsheet", "adapt", "image"],)
ELSEWHERE = {"git", "cd", "pip", "podman", "docker", "apt-get", "aiperf", "guidellm"}
# … need a network, another folder or an environment of their own

pytestmark = pytest.mark.real_weights


def blocks(language: str) -> list:
    found = []
    for document in DOCUMENTS:
        for match in re.finditer(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S):
            line = document.read_text()[: match.start()].count("\n") + 2
            name = f"{document.relative_to(ROOT)}:{line}"
            found.append(pytest.param(match.group(1), id=name))
    return found


def commands(block: str) -> list[str]:
    joined = block.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def run_shell(command: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"export PATH={shlex.quote(path)}; {command}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout, done.stdout


def check(command: str, folder: Path) -> None:
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif (words[0] == "loadsheet" and words[1] in SERVERS) or words[:3] in TRAININGS:
        parse(words[1:])
    elif words[:2] == ["python", "-m"]:
        check_flags(words)
    elif words[:3] == ["loadsheet", "bench", "run"]:
        run_shell(f"{shlex.join(words)} --warmup 1 --duration 3", folder)
    elif words[0] not in ELSEWHERE:
        run_shell(command, folder)


def check_flags(words: list[str]) -> None:
    """Long work (training, downloads) is only asked whether it knows these flags."""
    action = [word for word in words[3:4] if not word.startswith("-")]
    asked = [sys.executable, *words[1:3], *action, "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=120)
    flags = [word.split("=")[0] for word in words[3:] if word.startswith("--")]
    assert [flag for flag in flags if flag not in done.stdout] == []


@pytest.mark.parametrize("block", blocks("sh"))
def test_shell_blocks_run(block, flight, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for command in commands(block.replace(ADDRESS, flight.url)):
        check(command, tmp_path)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(block, flight, tmp_path):
    program = block.replace(ADDRESS, flight.url)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
