"""Where models live on this machine.

    CACHE/
      models/NAME/     finished folders, each with a stamp
      wheels/          verified downloads, removed once converted
      scratch/NAME/    work in progress; may be deleted at any time
      locks/NAME.lock  one writer per model

A model folder appears by one rename of a finished scratch folder, so a reader never meets half of
one, and whatever a killed run left behind lies in `scratch/` and is swept by the next.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadsheet.cache_root import CACHE_VARIABLE, cache_root
from loadsheet.engine.assets.stamp import write_stamp
from loadsheet.errors import AssetError
from loadsheet.units import format_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    root: Path

    def model_folder(self, name: str) -> Path:
        return self.root / "models" / name

    def wheel_file(self, file_name: str) -> Path:
        return self.root / "wheels" / file_name

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Held by one process at a time and freed by the system when its holder dies."""
        file = self.root / "locks" / f"{name}.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty folder to work in, under the lock of `name`."""
        folder = self.root / "scratch" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, finished: Path, name: str, recipe_id: str) -> Path:
        """Stamp a finished scratch folder and move it to its place; an older one makes way."""
        write_stamp(finished, recipe_id)
        folder = self.model_folder(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rename(finished.with_name("replaced"))
        return finished.rename(folder)

    def check_free_bytes(self, needed_bytes: int, what: str) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(self.root).free
        if free_bytes < needed_bytes:
            raise AssetError(
                f"{what} needs {format_bytes(needed_bytes)} of disk while it is prepared, but "
                f"{self.root} has {format_bytes(free_bytes)} free; make room or set "
                f"{CACHE_VARIABLE} to a folder on a larger disk"
            )


def open_cache(cache_dir: Path | None = None) -> Cache:
    """The given folder, else $LOADSHEET_CACHE, else the user's cache folder for loadsheet."""
    return Cache(root=cache_root(cache_dir))
