"""Where and with what something ran: versions, commit, processor."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from loadsheet.track.json_value import JSON

_PACKAGES = (
    "diffusers",
    "jax",
    "loadsheet",
    "numpy",
    "peft",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)


def describe_environment() -> dict[str, JSON]:
    """Python, the packages that decide a result, the processor and the system; no host name."""
    return {
        "python": platform.python_version(),
        "packages": package_versions(_PACKAGES),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "num_cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def package_versions(names: Iterable[str]) -> dict[str, str | None]:
    """None for what is not installed."""
    return {name: _version(name) for name in names}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def source_commit() -> str | None:
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


def cpu_model() -> str:
    """As the system names it; the architecture where it names none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
