"""Where and with what a run was made."""

import os
import platform
import sys
from datetime import UTC, datetime

from loadsheet import __version__
from loadsheet.track.environment import cpu_model, package_versions, source_commit

_PACKAGES = ("aiohttp", "numpy")


def describe_environment() -> dict[str, object]:
    """Machine, versions, commit and load: JSON-ready."""
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "loadsheet": __version__,
        "commit": source_commit(),
        "python": platform.python_version(),
        "packages": package_versions(_PACKAGES),
        "os": platform.platform(),
        "cpu": cpu_model(),
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
