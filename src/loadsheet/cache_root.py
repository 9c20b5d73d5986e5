"""The folder where this machine keeps what can be made again: models, its own calibration."""

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "LOADSHEET_CACHE"


def cache_root(cache_dir: Path | None = None) -> Path:
    """The given folder, else $LOADSHEET_CACHE, else the user's cache folder for loadsheet."""
    if cache_dir is not None:
        return cache_dir.expanduser()
    variable = os.environ.get(CACHE_VARIABLE)
    if variable:
        return Path(variable).expanduser()
    return platformdirs.user_cache_path("loadsheet", appauthor=False)
