"""Print today's numbers into the cost guides: each `sh` block's output and picture.

python scripts/refresh_cost_guides.py
"""

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

from loadsheet.cli.main import main

GUIDE = Path(__file__).parents[1] / "docs/guide"
PAGES = ("flash-attention", "latent-vs-pixel", "memory", "roofline", "transformers-vs-recurrence")
PAIR = re.compile(r"```sh\n(.*?)```\n```text\n.*?```", re.S)


def fill(match: re.Match[str]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for line in match.group(1).splitlines():
            if main(shlex.split(line)[1:]):
                raise SystemExit(f"failed: {line}")
    return f"```sh\n{match.group(1)}```\n```text\n{printed.getvalue()}```"


if __name__ == "__main__":
    os.chdir(GUIDE / "img")  # pictures are written beside each other
    for page in PAGES:
        path = GUIDE / f"{page}.md"
        path.write_text(PAIR.sub(fill, path.read_text("utf-8")), "utf-8")
        print(path)
