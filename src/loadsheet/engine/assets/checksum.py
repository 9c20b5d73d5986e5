"""Is this the file that was pinned?"""

import hashlib
from pathlib import Path

from loadsheet.errors import AssetError


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, *, num_bytes: int, sha256: str) -> None:
    """Raise when size or content differ from what the catalogue pins; size first, it is free."""
    found_bytes = path.stat().st_size
    if found_bytes != num_bytes:
        raise AssetError(f"{path} has {found_bytes} bytes, expected {num_bytes}: not this file")
    found = sha256_of(path)
    if found != sha256:
        raise AssetError(f"{path} has sha256 {found}, expected {sha256}: not this file")
