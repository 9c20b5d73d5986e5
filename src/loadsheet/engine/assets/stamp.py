"""The receipt inside a finished model folder: what made it, and every file with its size.

It is written last, before the folder is moved into place. A folder whose stamp names another
recipe, or whose files are gone or cut short, is made again.
"""

import json
from pathlib import Path

STAMP_NAME = "loadsheet.json"


def write_stamp(folder: Path, recipe_id: str) -> None:
    stamp = {"recipe": recipe_id, "files": _sizes(folder)}
    (folder / STAMP_NAME).write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")


def is_stamped(folder: Path, recipe_id: str) -> bool:
    """True when this recipe made the folder and all its files are there in full; no hashing."""
    try:
        stamp = json.loads((folder / STAMP_NAME).read_text("utf-8"))
        sizes: dict[str, int] = stamp["files"]
        return bool(stamp["recipe"] == recipe_id) and all(
            (folder / name).stat().st_size == num_bytes for name, num_bytes in sizes.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in files
        if path.name != STAMP_NAME
    }
