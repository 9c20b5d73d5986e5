"""Where and with what a run was made."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from loadsheet import __version__

_PACKAGES = ("aiohttp", "numpy")


def describe_environment() -> dict[str, object]:
    """Machine, versions, commit and load: JSON-ready."""
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "loadsheet": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "os": platform.platform(),
        "cpu": _cpu_model(),
        "num_cpus": os.cpu_count(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "command": " ".join(["loadsheet", *_without_secrets(sys.argv[1:])]),
    }


def _without_secrets(arguments: list[str]) -> list[str]:
    shown, hide_next = [], False
    for argument in arguments:
        if hide_next:
            shown.append("***")
        else:
            shown.append("--api-key=***" if argument.startswith("--api-key=") else argument)
        hide_next = argument == "--api-key"
    return shown


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of this source tree, None when installed from a wheel; `+` marks uncommitted changes."""
    folder = Path(__file__).parent
    head = _git(folder, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
