"""Print the path of a Chromium, installing one if this machine has none.

    python scripts/ensure_chromium.py

Looks for a Chromium or Chrome on the PATH and in the usual places, then asks apt (as root on Debian
and Ubuntu), then Playwright's own download. Exits with 1 and what to do when nothing helps.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)


def find() -> str | None:
    on_path = [path for name in NAMES if (path := shutil.which(name))]
    elsewhere = [str(path) for path in PLACES if path.exists()]
    return next(iter(on_path + elsewhere + playwrights_own()), None)


def playwrights_own() -> list[str]:
    script = (
        "from playwright.sync_api import sync_playwright as start\n"
        "with start() as playwright: print(playwright.chromium.executable_path)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    path = done.stdout.strip()
    return [path] if done.returncode == 0 and Path(path).exists() else []


def install() -> None:
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        packages = ["chromium", "fonts-dejavu-core"]
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            run(["apt-get", "-qq", *command], environment)
    if find() is None:
        run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))


def run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, stdout=sys.stderr, check=False)


if __name__ == "__main__":
    if find() is None:
        install()
    path = find()
    if path is None:
        sys.exit("no Chromium here; install one: apt-get install chromium, or any Google Chrome")
    print(path)
